package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

func TestHolders(t *testing.T) {
	got := holders(`1: POSIX  ADVISORY  WRITE 10 fe:00:1 0 EOF
2: FLOCK  ADVISORY  WRITE 11 fe:00:131 0 EOF
2: -> FLOCK  ADVISORY  WRITE 12 fe:00:131 0 EOF
3: FLOCK  ADVISORY  READ  -1 00:2a:99 0 EOF
4: FLOCK  ADVISORY
5: FLOCK  ADVISORY  READ  1 odd 0 EOF
`)
	if want := []holder{{"11", "fe:00", "131"}, {"-1", "00:2a", "99"}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// A directory in use is read like any other, and the answer says that it is.
func TestInUse(t *testing.T) {
	enter(t)
	l := openLog(t, 3, "test")
	defer l.Close()
	for pos := uint64(14); pos < 20; pos++ {
		z := zab.MakeZxid(4, uint32(pos-3))
		must(t, l.Append([]zab.Record{{Kind: zab.RecordEntry, Pos: pos, Entry: zab.Entry{Zxid: z, Prev: z - 1, Kind: zab.EntryData, Data: []byte("a")}}}))
	}
	by := func(u usage) func(*program) { return func(p *program) { p.use = func(string) usage { return u } } }
	r := run(t, by(usage{inUse, 17}), "inspect", "-verify", "d")
	if r.status != exitOK || !strings.Contains(r.out, "In use     yes, by process 17: ") || !strings.Contains(r.out, "whole up to position 19; the member runs.") {
		t.Errorf("%+v", r)
	}
	r = run(t, by(usage{state: unknown}), "inspect", "d")
	if !strings.Contains(r.out, "cannot be told on this system") || !strings.Contains(r.out, "not stopped properly, or runs") {
		t.Errorf("%+v", r)
	}
	if r = run(t, by(usage{inUse, 17}), "inspect", "-json", "d"); !strings.Contains(r.out, `"inUse":"yes","pid":17`) {
		t.Errorf("%+v", r)
	}
}

func TestTornWhileInUse(t *testing.T) {
	enter(t)
	r := run(t, func(p *program) { p.use = func(string) usage { return usage{state: inUse} } }, "inspect", "-verify", "d")
	if r.status != exitOK || !strings.Contains(r.out, "most likely a batch in the making") {
		t.Errorf("%+v", r)
	}
	flip(t, segments[1], 1700)
	for state, want := range map[string]string{inUse: "  - The member runs, and", unknown: "  - If the member runs,", unused: "  - Nothing of it is thrown away"} {
		r := run(t, func(p *program) { p.use = func(string) usage { return usage{state: state} } }, "inspect", "-verify", "d")
		if r.status != exitDamaged || !strings.Contains(r.out, "damaged record.\n"+want) {
			t.Errorf("%s: %+v", state, r)
		}
	}
}

// What looks damaged once, and not again, was a write under way.
func TestLooksAgain(t *testing.T) {
	for _, c := range []struct {
		name                  string
		faults, status, looks int
		fault                 func(look int) string
	}{
		{"none", 0, exitOK, 1, nil},
		{"once", 1, exitOK, 2, strconv.Itoa},
		{"twice", 2, exitOK, 3, strconv.Itoa},
		{"each time another", 9, exitDamaged, 3, strconv.Itoa},
		{"twice the same", 9, exitDamaged, 2, func(int) string { return "same" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			enter(t)
			opened := 0 // mark.0, by each look for its size and for what is in it; then come the segments
			r := run(t, func(p *program) {
				p.fs.(*readOnly).open = func(name string) error {
					if filepath.Base(name) == "mark.0" {
						opened++
					} else if filepath.Base(name) == segments[0] && opened/2 >= 1 && opened/2 <= c.faults {
						return errors.New(c.fault(opened / 2))
					}
					return nil
				}
			}, "inspect", "-json", "d")
			if damaged := strings.Contains(r.out, `"damaged":true`); opened != 2*c.looks || damaged != (c.status == exitDamaged) {
				t.Errorf("%d looks, damaged: %v", opened/2, damaged)
			}
		})
	}
}

// A directory that is written all the while, with marks, new segments and snapshots and old ones going, is not called damaged.
func TestLooksWhileItRuns(t *testing.T) {
	enter(t)
	l := openLog(t, 3, "test")
	defer l.Close()
	states, err := snapshot.Open(snapshot.Options{Dir: "d/snapshots", Random: rand.New(rand.NewPCG(3, 3)).Uint64, Keep: 2})
	must(t, err)
	retain := func(pos uint64, z zab.Zxid) error {
		w, err := states.Create(snapshot.Meta{Ensemble: fixtureEnsemble, Zxid: z, Pos: pos})
		if err != nil {
			return err
		}
		if err := w.Add(make([]byte, 5000)); err != nil {
			return err
		}
		if _, err := w.Commit(); err != nil {
			return err
		}
		reset := zab.MakeZxid(4, 7)
		from, err := states.Retain(snapshot.Need{From: reset, Upto: z, Reset: &snapshot.Reset{Pos: 10, Zxid: reset, Length: 5, Digest: 6}})
		if err != nil {
			return err
		}
		return l.Retain(from)
	}
	written := make(chan error, 1)
	go func() {
		m := zab.Mark{Member: 3, Incarnation: zab.Incarnation{7}, Ensemble: zab.EnsembleID{0xe1, 2, 3}, Counts: true, Promised: 5}
		for pos := uint64(14); pos < 300; pos++ {
			z := zab.MakeZxid(4, uint32(pos-3))
			rs := []zab.Record{{Kind: zab.RecordEntry, Pos: pos, Entry: zab.Entry{Zxid: z, Prev: z - 1, Kind: zab.EntryData, Data: make([]byte, 900)}}}
			if pos%9 == 0 {
				m.Promised++
				rs = append(rs, zab.Record{Kind: zab.RecordMark, Mark: m})
			}
			if err := l.Append(rs); err != nil {
				written <- err
				return
			}
			if pos%40 == 0 {
				if err := retain(pos, z); err != nil {
					written <- err
					return
				}
			}
		}
		written <- nil
	}()
	for {
		r := run(t, func(p *program) { p.pause = func(d time.Duration) { <-time.After(d) } }, "inspect", "-verify", "d")
		if r.status != exitOK {
			t.Errorf("%+v", r)
		}
		select {
		case err := <-written:
			must(t, err)
			return
		default:
		}
	}
}

// A look at the lock neither makes nor takes it.
func TestLookUseChangesNothing(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		if u := lookUse(lock); u.state == inUse {
			t.Error(u)
		}
		if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
