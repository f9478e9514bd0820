package session

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// model is a table as simple as can be.
type model struct {
	sessions []*modelSession
}

type modelSession struct {
	id        uint64
	owner     quorum.ID
	run       zab.Incarnation
	low, last uint64
	decided   map[uint64]Entry
}

func (m *model) find(id uint64) *modelSession {
	for _, s := range m.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// build makes a table of what the model holds, by itself, so that digests do not depend on the way.
func (m *model) build() *Table {
	t := new(Table)
	for _, s := range m.sessions {
		r := &row{Session: Session{ID: s.id, Owner: s.owner, Run: s.run, Low: s.low, Last: s.last}, high: s.last, low: s.low}
		t.add(r)
		for n := s.low; n <= s.last; n++ {
			e := s.decided[n]
			r.window = append(r.window, slot{e, e.hash(r.seed)})
			t.digest += e.hash(r.seed)
		}
	}
	return t
}

func check(t *testing.T, got *Table, m *model) {
	t.Helper()
	want := m.build()
	b := got.Append(nil)
	if got.Digest() != want.Digest() || !bytes.Equal(b, want.Append(nil)) || got.Len() != len(m.sessions) {
		t.Fatalf("the table is\n%x\nthe model\n%x", b, want.Append(nil))
	}
	again, err := Decode(b)
	if err != nil || again.Digest() != got.Digest() || !bytes.Equal(again.Append(nil), b) {
		t.Fatalf("decoded: %v", err)
	}
	for _, s := range m.sessions {
		if row, ok := got.Get(s.id); !ok || row.Owner != s.owner || row.Low != s.low || row.Last != s.last {
			t.Fatalf("%+v, want %+v", row, s)
		}
		if id, ok := got.Find(s.owner, s.run); id != s.id || !ok {
			t.Fatalf("member %d has session %d, %v", s.owner, id, ok)
		}
		for n := uint64(0); n <= s.last+1; n++ {
			e, ok := got.Lookup(Name{s.id, 0, n})
			w, has := s.decided[n]
			if n < s.low {
				w, has = Entry{}, false
			}
			if ok != has || fmt.Sprint(e) != fmt.Sprint(w) {
				t.Fatalf("%d of %d: %v %v, want %v %v", n, s.id, e, ok, w, has)
			}
		}
	}
}

// A leader with many outstanding transactions, some of which it abandons, against the model.
func TestModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var table Table
		m := &model{}
		type proposal struct {
			z     zab.Zxid
			n     Name
			low   uint64
			owner quorum.ID
			run   zab.Incarnation
		}
		var queue []proposal
		z := zab.MakeZxid(1, 0)
		for range 400 {
			switch k := r.IntN(20); {
			case k == 0:
				table.Abandon()
				queue = nil
				z = zab.MakeZxid(z.Epoch()+1, 0)
			case k < 3:
				p := proposal{z: z + 1, owner: quorum.ID(r.IntN(3) + 1), run: zab.Incarnation{byte(r.IntN(4))}}
				exists := slices.ContainsFunc(m.sessions, func(s *modelSession) bool { return s.owner == p.owner && s.run == p.run })
				for _, q := range queue {
					if q.owner == p.owner {
						exists = q.run == p.run
					}
				}
				if fresh := table.FreshOpen(uint64(p.z), p.owner, p.run); fresh == exists {
					t.Fatalf("seed %d: fresh %v, exists %v", seed, fresh, exists)
				} else if fresh {
					table.ClaimOpen(uint64(p.z), p.owner, p.run)
					queue = append(queue, p)
					z++
				}
			case k < 12 && len(m.sessions) > 0:
				s := m.sessions[r.IntN(len(m.sessions))]
				high, low, closing := s.last, s.low, false
				for _, q := range queue {
					if q.n.Session == s.id {
						high, low = q.n.Sequence, max(low, q.low)
					}
					closing = closing || q.owner == s.owner
				}
				n := Name{s.id, 0, high + uint64(r.IntN(3))}
				if r.IntN(20) == 0 {
					n.Generation = 2
				}
				p := proposal{z: z + 1, n: n, low: s.low + uint64(r.IntN(4))}
				want := !closing && n.Generation == 0 && n.Sequence == high+1 && p.low <= n.Sequence
				if fresh := table.Fresh(n, p.low); fresh != want {
					t.Fatalf("seed %d: %v low %d is fresh %v, want %v", seed, n, p.low, fresh, want)
				} else if fresh {
					table.Claim(n, p.low)
					queue = append(queue, p)
					z++
				}
				_ = low
			case len(queue) > 0:
				p := queue[0]
				queue = queue[1:]
				if p.owner != 0 {
					closed, err := table.Open(uint64(p.z), p.owner, p.run)
					var want uint64
					m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool {
						if s.owner == p.owner {
							want = s.id
						}
						return s.owner == p.owner
					})
					if err != nil || closed != want {
						t.Fatalf("seed %d: closed %d, %v, want %d", seed, closed, err, want)
					}
					m.sessions = append(m.sessions, &modelSession{uint64(p.z), p.owner, p.run, 1, 0, map[uint64]Entry{}})
					break
				}
				e := Entry{Sequence: p.n.Sequence, Zxid: p.z, Code: uint8(r.IntN(2)), Index: int32(r.IntN(3) - 1), Number: int32(r.IntN(1000) - 500)}
				if e.Number = max(e.Number, -1); e.Number >= 0 && r.IntN(4) == 0 {
					e.More = []int32{0, math.MaxInt32, e.Number}
				}
				if err := table.Decide(p.n, p.low, e); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				s := m.find(p.n.Session)
				s.last, s.low = p.n.Sequence, max(s.low, p.low)
				s.decided[p.n.Sequence] = e
			}
			if r.IntN(10) == 0 {
				check(t, &table, m)
			}
		}
		check(t, &table, m)
	}
}

func TestRefused(t *testing.T) {
	var table Table
	table.Open(10, 1, zab.Incarnation{1})
	before := table.Append(nil)
	n := Name{10, 0, 1}
	for name, err := range map[string][2]error{ // any order: none changes anything
		"old id":     {second(table.Open(10, 2, zab.Incarnation{})), ErrOutOfOrder},
		"no id":      {second(new(Table).Open(0, 2, zab.Incarnation{})), ErrOutOfOrder},
		"session":    {table.Decide(Name{11, 0, 1}, 1, Entry{Zxid: 11}), ErrUnknown},
		"generation": {table.Decide(Name{10, 2, 1}, 1, Entry{Zxid: 11}), ErrUnknown},
		"gap":        {table.Decide(Name{10, 0, 2}, 1, Entry{Zxid: 11}), ErrOutOfOrder},
		"zero":       {table.Decide(Name{10, 0, 0}, 0, Entry{Zxid: 11}), ErrOutOfOrder},
		"low":        {table.Decide(n, 2, Entry{Zxid: 11}), ErrOutOfOrder},
	} {
		if !errors.Is(err[0], err[1]) {
			t.Errorf("%s: %v", name, err[0])
		}
	}
	if !bytes.Equal(before, table.Append(nil)) {
		t.Error("a refusal changed the table")
	}
}

func second(_ uint64, err error) error { return err }

func TestBounds(t *testing.T) {
	var table Table
	table.Open(1, 1, zab.Incarnation{1})
	n := Name{1, 0, 0}
	for n.Sequence = 1; n.Sequence <= MaxWindow; n.Sequence++ {
		if err := table.Decide(n, 1, Entry{Zxid: zab.Zxid(1 + n.Sequence)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Decide(n, 1, Entry{Zxid: zab.Zxid(1 + n.Sequence)}); !errors.Is(err, ErrFull) || table.Fresh(n, 1) {
		t.Errorf("the window has no bound: %v", err)
	}
	if !table.Fresh(n, 2) || table.Decide(n, 2, Entry{Zxid: zab.Zxid(1 + n.Sequence)}) != nil {
		t.Error("a window with room is closed")
	}
	if again, err := Decode(table.Append(nil)); err != nil || again.Digest() != table.Digest() {
		t.Errorf("a full window does not come back: %v", err)
	}
	for i := range uint64(MaxSessions - 1) {
		if _, err := table.Open(1<<20+i, quorum.ID(2+i), zab.Incarnation{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Open(1<<30, 1<<40, zab.Incarnation{}); !errors.Is(err, ErrFull) {
		t.Errorf("the table has no bound: %v", err)
	}
	if closed, err := table.Open(1<<30, 1, zab.Incarnation{9}); closed != 1 || err != nil {
		t.Errorf("a session takes the place of its predecessor: %d, %v", closed, err)
	}
}

func FuzzDecode(f *testing.F) {
	var table Table
	f.Add(table.Append(nil))
	table.Open(10, 1, zab.Incarnation{1})
	table.Open(11, 300, zab.Incarnation{2})
	f.Add(table.Append(nil))
	for n := range uint64(5) {
		table.Decide(Name{10, 0, n + 1}, n, Entry{Zxid: zab.Zxid(100 + n), Code: 3, Index: -1, Number: 7, More: []int32{0, math.MaxInt32}})
	}
	f.Add(table.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Decode(b)
		if err != nil {
			return
		}
		if again := table.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is %x", b, again)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	b.ReportAllocs()
	var table Table
	table.Open(1, 1, zab.Incarnation{1})
	n := Name{1, 0, 0}
	for b.Loop() {
		n.Sequence++
		low := max(n.Sequence, 100) - 99
		table.Claim(n, low)
		if err := table.Decide(n, low, Entry{Zxid: zab.Zxid(1 + n.Sequence), Index: -1, Number: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
