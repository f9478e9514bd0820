package session

import (
	"bytes"
	"encoding/binary"
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
	key      Key
	sessions []*modelSession
}

type modelSession struct {
	Session
	decided map[uint64]Entry
}

func (m *model) find(id uint64) *modelSession {
	for _, s := range m.sessions {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// end takes out those for which gone holds, and returns the id of one of them.
func (m *model) end(gone func(*modelSession) bool) (id uint64) {
	m.sessions = slices.DeleteFunc(m.sessions, func(s *modelSession) bool {
		if gone(s) {
			id = s.ID
		}
		return gone(s)
	})
	return id
}

func check(t *testing.T, got *Table, m *model) {
	t.Helper()
	if want := m.digest(); got.Digest() != want {
		t.Fatalf("the digest is %x, that of what is there %x", got.Digest(), want)
	}
	b := got.Append(nil)
	if want := m.encode(); !bytes.Equal(b, want) || got.Len() != len(m.sessions) {
		t.Fatalf("the table is\n%x\nthe model\n%x", b, want)
	}
	again, err := Decode(b)
	if err != nil || again.Digest() != got.Digest() || !bytes.Equal(again.Append(nil), b) {
		t.Fatalf("decoded: %v", err)
	}
	all := slices.Collect(got.All())
	for i, s := range m.sessions {
		if row, ok := got.Get(s.ID); !ok || row != s.Session || all[i] != row {
			t.Fatalf("%+v, want %+v", row, s)
		}
		if id, ok := got.Find(s.Owner, s.Run); !s.Client && (id != s.ID || !ok) {
			t.Fatalf("member %d has session %d, %v", s.Owner, id, ok)
		}
		for n := uint64(0); n <= s.Last+1; n++ {
			e, ok := got.Lookup(Name{s.ID, s.Generation, n})
			w, has := s.decided[n]
			if n < s.Low {
				w, has = Entry{}, false
			}
			if ok != has || fmt.Sprint(e) != fmt.Sprint(w) {
				t.Fatalf("%d of %d: %v %v, want %v %v", n, s.ID, e, ok, w, has)
			}
		}
		if _, ok := got.Lookup(Name{s.ID, s.Generation + 1, s.Low}); ok {
			t.Fatal("something is decided of a generation to come")
		}
	}
}

// snapshot is a table that was frozen, and what it has to be for ever.
type snapshot struct {
	f    *Frozen
	want []byte
}

func (s snapshot) check(t *testing.T, r *rand.Rand) {
	t.Helper()
	var b []byte
	n := s.f.Len()
	for more := true; more; {
		var part []byte
		least := r.IntN(100)
		if part, more = s.f.Append(nil, least); more && len(part) < least {
			t.Fatalf("a part has %d bytes, and not %d", len(part), least)
		}
		b = append(b, part...)
	}
	if !bytes.Equal(b, s.want) || n != len(b) {
		t.Fatalf("what was frozen is, in %d bytes,\n%x\nand not\n%x", n, b, s.want)
	}
}

type proposalKind int

const (
	decides proposalKind = iota
	opens
	opensFor
	closes
	moves
)

type proposal struct {
	kind  proposalKind
	z     zab.Zxid
	n     Name
	low   uint64
	owner quorum.ID
	run   zab.Incarnation
}

// ahead is the model as all outstanding proposals will leave it. The id of an outstanding session is known, and none of its calls can be proposed yet.
func (m *model) ahead(queue []proposal) *model {
	next := &model{}
	for _, s := range m.sessions {
		c := *s
		next.sessions = append(next.sessions, &c)
	}
	for _, p := range queue {
		next.apply(p)
	}
	return next
}

func (m *model) apply(p proposal) (closed uint64) {
	s := m.find(p.n.Session)
	switch p.kind {
	case opens:
		closed = m.end(func(s *modelSession) bool { return s.Owner == p.owner && !s.Client })
		m.sessions = append(m.sessions, &modelSession{Session{ID: uint64(p.z), Owner: p.owner, Run: p.run, Low: 1, Timeout: uint32(p.low)}, map[uint64]Entry{}})
	case opensFor:
		m.sessions = append(m.sessions, &modelSession{Session{ID: uint64(p.z), Owner: p.owner, Run: p.run, Low: 1, Timeout: uint32(p.low), Client: true}, map[uint64]Entry{}})
	case closes:
		m.end(func(s *modelSession) bool { return s.ID == p.n.Session })
	case moves:
		s.Generation++
		s.Owner, s.Run, s.Client, s.Low, s.Last, s.decided = p.owner, p.run, true, 1, 0, map[uint64]Entry{}
	case decides:
		s.Last, s.Low = p.n.Sequence, max(s.Low, p.low)
	}
	return closed
}

// A leader with many outstanding transactions, some of which it abandons, against the model.
func TestModel(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var table Table
		m := &model{}
		if seed%4 != 0 {
			m.key = Key{byte(seed), 1}
			table.SetKey(m.key)
			table.SetKey(Key{99}) // too late
		}
		var queue []proposal
		var frozen []snapshot
		z := zab.MakeZxid(1, 0)
		claim := func(p proposal) {
			queue = append(queue, p)
			z++
		}
		for range 400 {
			ahead := m.ahead(queue)
			var s *modelSession
			if len(m.sessions) > 0 {
				s = m.sessions[r.IntN(len(m.sessions))]
			}
			p := proposal{z: z + 1, owner: quorum.ID(r.IntN(3) + 1), run: zab.Incarnation{byte(r.IntN(2)), 15: byte(r.IntN(2))}}
			if m.key != (Key{}) {
				p.low = r.Uint64N(10000)
			}
			switch k := r.IntN(24); {
			case k == 0:
				table.Abandon()
				queue = nil
				z = zab.MakeZxid(z.Epoch()+1, 0)
			case k < 3:
				p.kind = opens
				exists, ends := false, uint64(0)
				for _, s := range ahead.sessions {
					if s.Owner == p.owner && !s.Client {
						exists, ends = s.Run == p.run, s.ID
					}
				}
				got, fresh := table.FreshOpen(uint64(p.z), p.owner, p.run)
				if fresh == exists || fresh && got != ends {
					t.Fatalf("seed %d: fresh %v, exists %v, ends %d, want %d", seed, fresh, exists, got, ends)
				} else if fresh {
					table.ClaimOpen(uint64(p.z), p.owner, p.run)
					claim(p)
				}
			case k == 3 && m.key != (Key{}):
				p.kind = opensFor
				table.ClaimOpen(uint64(p.z), 0, p.run)
				claim(p)
			case k == 4 && s != nil:
				p.kind, p.n.Session = closes, s.ID
				to := ahead.find(s.ID)
				if to != nil { // asked for in the generation to come
					table.ClaimClose(s.ID)
					claim(p)
				}
			case k == 5 && s != nil && m.key != (Key{}):
				p.kind, p.n.Session = moves, s.ID
				if fresh := table.FreshMove(s.ID); fresh != (ahead.find(s.ID) != nil) {
					t.Fatalf("seed %d: the move of %d is fresh: %v", seed, s.ID, fresh)
				} else if fresh {
					table.ClaimMove(s.ID)
					claim(p)
				}
			case k < 15 && s != nil:
				to := ahead.find(s.ID)
				last, low := s.Last, s.Low
				if to != nil {
					last, low = to.Last, to.Low
				}
				p.n = Name{s.ID, s.Generation, last + uint64(r.IntN(3))}
				if to != nil {
					p.n.Generation = to.Generation - min(to.Generation, uint32(r.IntN(10)/9))
				}
				if r.IntN(20) == 0 {
					p.n.Generation += 2
				}
				p.low = low + uint64(r.IntN(4))
				want := to != nil && p.n.Generation == to.Generation && p.n.Sequence == last+1 && p.low <= p.n.Sequence
				if fresh := table.Fresh(p.n, p.low); fresh != want {
					t.Fatalf("seed %d: %v low %d is fresh %v, want %v", seed, p.n, p.low, fresh, want)
				} else if fresh {
					table.Claim(p.n, p.low)
					claim(p)
				}
			case len(queue) > 0:
				p := queue[0]
				queue = queue[1:]
				was, _ := table.Get(p.n.Session)
				e := Entry{Sequence: p.n.Sequence, Zxid: p.z, Code: uint8(r.IntN(2)), Index: int32(r.IntN(3) - 1), Number: int32(r.IntN(1000) - 500)}
				if e.Number = max(e.Number, -1); e.Number >= 0 && r.IntN(4) == 0 {
					e.More = []int32{0, math.MaxInt32, e.Number}
				}
				want := m.apply(p)
				var closed uint64
				var err error
				switch p.kind {
				case opens:
					closed, err = table.Open(uint64(p.z), p.owner, p.run, uint32(p.low))
				case opensFor:
					err = table.OpenFor(uint64(p.z), p.owner, p.run, uint32(p.low))
				case closes:
					err = table.Close(p.n.Session)
				case moves:
					var g uint32
					if g, err = table.Move(p.n.Session, p.owner, p.run); g != was.Generation+1 {
						t.Fatalf("seed %d: generation %d after %d", seed, g, was.Generation)
					}
				case decides:
					if err = table.Decide(p.n, p.low, e); err == nil {
						m.find(p.n.Session).decided[p.n.Sequence] = e
					}
				}
				if err != nil || closed != want {
					t.Fatalf("seed %d: %+v: closed %d, %v, want %d", seed, p, closed, err, want)
				}
				count[fmt.Sprint(p.kind)]++
			}
			switch r.IntN(60) {
			case 0, 1, 2:
				check(t, &table, m)
			case 3, 4:
				frozen = append(frozen, snapshot{table.Freeze(), m.encode()})
			case 5:
				if len(frozen) > 0 {
					frozen[0].check(t, r)
					frozen = frozen[1:]
					count["frozen"]++
				}
			}
		}
		check(t, &table, m)
		for _, s := range frozen {
			s.check(t, r)
		}
	}
	for kind := decides; kind <= moves; kind++ {
		if count[fmt.Sprint(kind)] < 300 || count["frozen"] < 300 {
			t.Errorf("it is too tame: %v", count)
		}
	}
}

// What version 1 wrote, which knew neither key nor timeouts, is read, and written again as it was until there is a key.
func TestFormat1(t *testing.T) {
	var table Table
	table.Open(10, 3, zab.Incarnation{7}, 0)
	table.Decide(Name{10, 0, 1}, 1, Entry{Zxid: 11, Code: 2, Index: -1, Number: -1})
	old := []byte{1, 1, 10, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 11, 2, 0, 0}
	old = binary.LittleEndian.AppendUint64(old, 0x6221f1aa0d321fec)
	if got := table.Append(nil); !bytes.Equal(got, old) {
		t.Errorf("it is\n%x\nand was\n%x", got, old)
	}
	again, err := Decode(old)
	if err != nil {
		t.Fatal(err)
	}
	again.SetKey(Key{5})
	b := again.Append(nil)
	if b[0] != format {
		t.Errorf("format %d holds a key", b[0])
	}
	if third, err := Decode(b); err != nil || *third.Key() != (Key{5}) || third.Digest() != again.Digest() {
		t.Errorf("it comes back with %v, %v", third, err)
	}
}

func TestRefused(t *testing.T) {
	var table Table
	table.Open(10, 1, zab.Incarnation{1}, 0)
	before := table.Append(nil)
	n := Name{10, 0, 1}
	for name, err := range map[string][2]error{ // any order: none changes anything
		"old id":     {second(table.Open(10, 2, zab.Incarnation{}, 0)), ErrOutOfOrder},
		"no id":      {second(new(Table).Open(0, 2, zab.Incarnation{}, 0)), ErrOutOfOrder},
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
	table.Open(1, 1, zab.Incarnation{1}, 0)
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
	if again, err := Decode(table.Append(nil)); err != nil || again.Digest() != table.Digest() || table.Digest() != recompute(&table) {
		t.Errorf("a full window does not come back: %v", err)
	}
	for i := range uint64(MaxSessions - 1) {
		if _, err := table.Open(1<<20+i, quorum.ID(2+i), zab.Incarnation{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.Open(1<<30, 1<<40, zab.Incarnation{}, 0); !errors.Is(err, ErrFull) {
		t.Errorf("the table has no bound: %v", err)
	}
	if closed, err := table.Open(1<<30, 1, zab.Incarnation{9}, 0); closed != 1 || err != nil {
		t.Errorf("a session takes the place of its predecessor: %d, %v", closed, err)
	}
}

func FuzzDecode(f *testing.F) {
	var table Table
	f.Add(table.Append(nil))
	table.Open(10, 1, zab.Incarnation{1}, 0)
	table.Open(11, 300, zab.Incarnation{2}, 0)
	f.Add(table.Append(nil))
	for n := range uint64(5) {
		table.Decide(Name{10, 0, n + 1}, n, Entry{Zxid: zab.Zxid(100 + n), Code: 3, Index: -1, Number: 7, More: []int32{0, math.MaxInt32}})
	}
	f.Add(table.Append(nil))
	table.SetKey(Key{3})
	table.OpenFor(12, 1, zab.Incarnation{1}, 5000)
	table.Move(10, 300, zab.Incarnation{2})
	f.Add(table.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Decode(b)
		if err != nil {
			return
		}
		if again := table.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is %x", b, again)
		}
		if want := recompute(table); table.Digest() != want {
			t.Fatalf("the digest is %x, that of what is there %x", table.Digest(), want)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	b.ReportAllocs()
	var table Table
	table.Open(1, 1, zab.Incarnation{1}, 0)
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
