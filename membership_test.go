package ensemble_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/transport"
)

func ids(n *ensemble.Node) (ids []ensemble.ID) {
	for _, m := range n.Membership().Members {
		ids = append(ids, m.ID)
	}
	return ids
}

// What a directory holds is the membership, whatever a later configuration says; only addresses are taken from that.
func TestMembershipIsHeld(t *testing.T) {
	for name, members := range map[string][]ensemble.Member{
		"fewer":     {{ID: 1}},
		"more":      {{ID: 1, Addr: "new"}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}},
		"observers": {{ID: 1}, {ID: 2, Observer: true}, {ID: 3, Observer: true}},
		"weights":   {{ID: 1, Group: 1, Weight: 1}, {ID: 2, Group: 1}, {ID: 3, Group: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &journal{}
				later := false
				d := newDisks(t, func(c *ensemble.Config) {
					if later && c.ID == 1 {
						c.Members, c.Logger = members, slog.New(slog.NewTextHandler(log, nil))
					}
				})
				paths := d.fill(d.nodes[1], "/a", 3, 10)
				d.stopAll()
				later = true
				n := d.open(1)
				if got := ids(n); !slices.Equal(got, []ensemble.ID{1, 2, 3}) {
					t.Fatal(got)
				}
				for i, m := range n.Membership().Members {
					if want := members[min(i, len(members)-1)].Addr; i < len(members) && m.Addr != want || m.Observer || m.Group != 0 {
						t.Errorf("%+v", m)
					}
				}
				if log.count("is not the membership that the data directory holds") != 1 {
					t.Error("it is not said")
				}
				d.never(n, ensemble.NoQuorum)
				d.open(2)
				d.readies(paths, 1, 2)
			})
		})
	}
}

// A directory without the file, as an earlier version has left it, gets that of the configuration; so does one whose file is damaged.
func TestMembershipIsAdopted(t *testing.T) {
	for name, do := range map[string]func(d *disks) error{
		"missing": func(d *disks) error {
			return errors.Join(d.disk[1].Remove("/data/members"), d.disk[1].SyncDir("/data"))
		},
		"damaged": func(d *disks) error { return d.disk[1].FlipBit("/data/members", 100) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisks(t, nil)
				paths := d.fill(d.nodes[1], "/a", 3, 10)
				d.stopAll()
				if err := do(d); err != nil {
					t.Fatal(err)
				}
				d.openAll()
				d.readies(paths, 1, 2, 3)
				if m, err := durable.ReadMembers(d.disk[1], "/data"); len(m) != 3 || err != nil {
					t.Error(m, err)
				}
			})
		})
	}
}

// A directory is nobody's who is not among the members that it holds, though his configuration says otherwise.
func TestMembershipWithoutMe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		d.stopAll()
		cfg := d.config(1)
		cfg.ID, cfg.Members = 9, append(cfg.Members, ensemble.Member{ID: 9})
		cfg.Transport = d.net.Peer(9)
		_, before := d.disk[1].Files()
		_, err := ensemble.Open(d.on(1), cfg)
		if _, after := d.disk[1].Files(); !errors.Is(err, ensemble.ErrDirForeign) || !reflect.DeepEqual(before, after) {
			t.Fatal(err)
		}
	})
}

// The membership stands in a directory before a Bootstrap or a Restore is done.
func TestMembershipOfABeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := emptyDisks(t, nil)
		d.bootstrap(1, 2)
		d.opt = func(c *ensemble.Config) { c.Members = c.Members[:1] }
		d.never(d.open(1), ensemble.NoQuorum)
		d.opt = nil
		d.open(2)
		d.fill(d.nodes[2], "/a", 3, 10)
		d.stopAll()
		backup, _ := d.backupDir(1)
		d = emptyDisks(t, nil)
		o := d.options()
		o.Members = []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3, Observer: true}}
		d.restore(backup, o, 1, 2)
		d.never(d.open(1), ensemble.NoQuorum)
		if got := fmt.Sprint(d.nodes[1].Membership().Members); got != fmt.Sprint(o.Members) {
			t.Error(got)
		}
	})
}

func TestMembershipOfALaterVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		d.stopAll()
		text := "ensemble members 2\n"
		m := d.disk[1]
		if err := m.Remove("/data/members"); err != nil {
			t.Fatal(err)
		}
		f := must[interface {
			Write([]byte) (int, error)
			Close() error
		}](t)(m.Create("/data/members"))
		must[int](t)(f.Write(fmt.Appendf(nil, "%s%08x\n", text, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))))
		f.Close()
		if n, err := d.try(1); !errors.Is(err, ensemble.ErrDirVersion) {
			t.Error(err)
			d.nodes[1] = n
		}
	})
}

// An ensemble that keeps nothing on disk is made smaller by restarting one member after the other. Two of five think that they are two of three then, and those
// left are three of five: each side had a quorum, if the members of one spoke to those of the other.
func TestMembershipsThatDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewMemory()
		five := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}}
		var mu sync.Mutex
		refused := map[ensemble.ID]bool{}
		nodes := map[ensemble.ID]*ensemble.Node{}
		open := func(id ensemble.ID, members []ensemble.Member) {
			trace := &ensemble.Trace{PeerChanged: func(p ensemble.PeerChange) {
				mu.Lock()
				defer mu.Unlock()
				refused[id] = refused[id] || errors.Is(p.Err, link.ErrMembers)
			}}
			nodes[id] = must[*ensemble.Node](t)(ensemble.Open(t.Context(), ensemble.Config{ID: id, Members: members, Transport: net.Peer(id), Trace: trace}))
			t.Cleanup(func() { nodes[id].Close() })
		}
		for _, m := range five {
			open(m.ID, five)
		}
		for _, n := range nodes {
			if err := n.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if leader := nodes[3].Status().Leader; leader != 3 { // whom all know
			if err := nodes[leader].Transfer(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
		}
		for id := ensemble.ID(1); id <= 2; id++ {
			nodes[id].Close()
			open(id, five[:3])
		}
		<-time.After(time.Minute)
		for id, n := range nodes {
			if s := n.Status(); s.Ready != (id > 2) || refused[id] != (id <= 3) {
				t.Errorf("member %d: refused %v, %+v", id, refused[id], s)
			}
		}
	})
}
