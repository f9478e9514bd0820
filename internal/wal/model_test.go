package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var testEnsemble = zab.EnsembleID{0xe1, 2, 3}

// clock is moved by hand.
type clock struct{ now time.Duration }

func testOptions(c *clock, seed uint64) Options {
	ids := rand.New(rand.NewPCG(seed, 0x1d5))
	return Options{Dir: "/d/log", Name: "test", Member: 3, Random: ids.Uint64, SegmentSize: 4096, ahead: 1024, Now: func() time.Duration { return c.now }}
}

// model is the slow twin of a log: a plain list of what was handed over, and what it amounts to after each record.
type model struct {
	states []state
	done   int    // so many records were reported durable
	kept   uint64 // greatest position handed to Retain
}

type state struct {
	mark    zab.Mark
	pos     uint64
	reset   *Reset
	base    zab.Zxid
	entries []entryAt
	epochs  uint32 // greatest epoch ever used, for the author
}

type entryAt struct {
	zab.Entry
	pos uint64
}

func (s *state) last() zab.Zxid {
	if n := len(s.entries); n > 0 {
		return s.entries[n-1].Zxid
	}
	return s.base
}

func newModel() *model { return &model{states: []state{{mark: zab.Mark{Member: 3}}}} }

func (m *model) now() *state { return &m.states[len(m.states)-1] }

// issue takes records that are handed over.
func (m *model) issue(records []zab.Record) {
	for _, r := range records {
		s := *m.now()
		n := len(s.entries)
		switch r.Kind {
		case zab.RecordEntry:
			s.pos = r.Pos
			s.entries = append(s.entries[:n:n], entryAt{r.Entry, r.Pos})
			s.epochs = max(s.epochs, r.Entry.Zxid.Epoch())
		case zab.RecordTrunc:
			s.pos = r.Pos
			for n > 0 && s.entries[n-1].Zxid > r.Zxid {
				n--
			}
			s.entries = s.entries[:n]
			if n == 0 {
				s.base = r.Zxid
			}
		case zab.RecordReset:
			s.pos, s.base, s.entries = r.Pos, r.Snapshot.Zxid, nil
			s.reset = &Reset{r.Pos, r.Snapshot.Zxid, r.Snapshot.Length, r.Snapshot.Digest}
			s.epochs = max(s.epochs, r.Snapshot.Zxid.Epoch())
		case zab.RecordMark:
			s.mark = r.Mark
		}
		m.states = append(m.states, s)
	}
}

func (m *model) reported() { m.done = len(m.states) - 1 }

// match finds how many records the recovery amounts to, among those that a crash may leave.
func (m *model) match(rec *Recovery) (int, error) {
	if rec.Verdict.Kind == Impaired {
		return 0, fmt.Errorf("false alarm: %v", rec.Verdict)
	}
	why := fmt.Errorf("position %d is not between %d and %d", rec.Pos, m.states[m.done].pos, m.now().pos)
	for k := len(m.states) - 1; k >= m.done; k-- {
		s := &m.states[k]
		if s.pos != rec.Pos {
			continue
		}
		if why = s.differs(rec, m.kept); why == nil {
			return k, nil
		}
	}
	return 0, fmt.Errorf("what was recovered is not %d to %d of the records: %w", m.done, len(m.states)-1, why)
}

func (s *state) differs(rec *Recovery, kept uint64) error {
	if rec.Mark != s.mark {
		return fmt.Errorf("mark %+v, want %+v", rec.Mark, s.mark)
	}
	if rec.Reset == nil && s.reset != nil && s.reset.Pos >= kept || rec.Reset != nil && (s.reset == nil || *rec.Reset != *s.reset) {
		return fmt.Errorf("RESET %v, want %v", rec.Reset, s.reset)
	}
	return s.same(rec.Base, rec.Entries, kept)
}

// same compares entries; those before kept may be missing.
func (s *state) same(base zab.Zxid, entries []zab.Entry, kept uint64) error {
	skipped := len(s.entries) - len(entries)
	if skipped < 0 {
		return fmt.Errorf("%d entries, want %d", len(entries), len(s.entries))
	}
	if skipped > 0 && s.entries[skipped-1].pos >= kept {
		return fmt.Errorf("%d entries are missing, the last of them %v at position %d, and %d is to be kept", skipped, s.entries[skipped-1].Zxid, s.entries[skipped-1].pos, kept)
	}
	if want := s.base; skipped > 0 {
		want = s.entries[skipped-1].Zxid
		if base != want {
			return fmt.Errorf("base %v, want %v", base, want)
		}
	} else if base != want {
		return fmt.Errorf("base %v, want %v", base, want)
	}
	for i, e := range entries {
		if err := sameEntry(e, s.entries[skipped+i].Entry); err != nil {
			return err
		}
	}
	return nil
}

func sameEntry(have, want zab.Entry) error {
	if have.Zxid != want.Zxid || have.Prev != want.Prev || have.Kind != want.Kind || have.Member != want.Member || have.Incarnation != want.Incarnation || !bytes.Equal(have.Data, want.Data) {
		return fmt.Errorf("entry %v is %+v, want %+v", want.Zxid, have, want)
	}
	return nil
}

// cut makes the model what a recovery has found.
func (m *model) cut(k int) {
	m.states = m.states[:k+1]
	m.done = k
}

// author draws what is handed over next.
type author struct {
	r    *rand.Rand
	m    *model
	size func() int // of data
}

func newAuthor(seed uint64, m *model) *author {
	a := &author{r: rand.New(rand.NewPCG(seed, 0xa07)), m: m}
	a.size = func() int { return []int{0, 1, 40, 150, 470, 1300}[a.r.IntN(6)] }
	return a
}

// entry follows s in the epoch of its last zxid, or the next.
func (a *author) entry(s *state, newEpoch bool) zab.Record {
	last := s.last()
	z := last + 1
	if newEpoch || last.Epoch() < s.epochs || last == 0 {
		z = zab.MakeZxid(s.epochs+1, 1)
	}
	e := zab.Entry{Zxid: z, Prev: last, Kind: zab.EntryData}
	if n := a.size(); n > 0 {
		e.Data = make([]byte, n)
		for i := range e.Data {
			e.Data[i] = byte(a.r.Uint32())
		}
	}
	if a.r.IntN(8) == 0 {
		e.Kind, e.Member, e.Incarnation = zab.EntryReadmit, 2, zab.Incarnation{9, byte(z)}
	}
	return zab.Record{Kind: zab.RecordEntry, Pos: s.pos + 1, Entry: e}
}

func (a *author) mark(s *state) zab.Record {
	k := s.mark
	k.Ensemble, k.Counts = testEnsemble, true
	k.Incarnation = zab.Incarnation{7}
	if a.r.IntN(2) == 0 {
		k.Promised = max(k.Promised, s.epochs) + 1
	} else {
		k.Joined++
	}
	k.Born = k.Born || a.r.IntN(2) == 0
	return zab.Record{Kind: zab.RecordMark, Mark: k}
}

func (a *author) trunc(s *state) zab.Record {
	z := s.base
	if n := len(s.entries); n > 0 {
		if i := a.r.IntN(n + 1); i > 0 {
			z = s.entries[i-1].Zxid
		}
	}
	return zab.Record{Kind: zab.RecordTrunc, Pos: s.pos + 1, Zxid: z}
}

func (a *author) reset(s *state) zab.Record {
	z := zab.MakeZxid(s.epochs+uint32(a.r.IntN(2)), 1+uint32(a.r.IntN(5)))
	return zab.Record{Kind: zab.RecordReset, Pos: s.pos + 1, Zxid: z, Snapshot: &zab.Snapshot{Zxid: z, Length: a.r.Uint64(), Digest: a.r.Uint64()}}
}

// batch draws records and hands them to the model.
func (a *author) batch() []zab.Record {
	var records []zab.Record
	add := func(f func(*state) zab.Record) {
		r := f(a.m.now())
		a.m.issue([]zab.Record{r})
		records = append(records, r)
	}
	for range 1 + a.r.IntN(4) {
		switch x := a.r.IntN(20); {
		case x < 13:
			add(func(s *state) zab.Record { return a.entry(s, a.r.IntN(6) == 0) })
		case x < 17:
			add(a.mark)
		case x < 19:
			add(a.trunc)
		default:
			add(a.reset)
		}
	}
	return records
}

// step does one random thing to a log.
func (a *author) step(l *Log, c *clock) error {
	switch x := a.r.IntN(10); {
	case x < 7:
		if err := l.Append(a.batch()); err != nil {
			return err
		}
		a.m.reported()
		return nil
	case x < 8:
		c.now += 2 * time.Second
		return l.Acked(a.m.now().pos)
	default:
		s := a.m.now()
		if s.pos == 0 {
			return nil
		}
		pos := 1 + a.r.Uint64N(s.pos)
		a.m.kept = max(a.m.kept, pos)
		return l.Retain(pos)
	}
}

func records(r ...zab.Record) []zab.Record { return r }
