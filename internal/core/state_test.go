package core

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

const testMaxData = 1 << 10

type logged struct {
	z   zab.Zxid
	txn []byte // nil: an entry without one
}

// outcome is what a member would see of o, without what only the one that applied it knows.
func outcome(o Outcome[Result]) string { return fmt.Sprintf("%v %v %v", o.Name, o.Result, o.Err) }

func request(t testing.TB, multi bool, ops ...datatree.Op) []byte {
	t.Helper()
	b, err := datatree.AppendOps(nil, ops, multi, testMaxData)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomOp(r *rand.Rand) datatree.Op {
	path := []string{"/a", "/b", "/a/x", "/a/y", "/a/x/z"}[r.IntN(5)]
	version := datatree.AnyVersion
	if r.IntN(2) == 0 {
		version = datatree.VersionOf(int32(r.IntN(3)))
	}
	switch r.IntN(8) {
	case 0, 1:
		return datatree.CreateOp{Path: path, Data: []byte{byte(r.Uint32())}}
	case 2:
		return datatree.CreateOp{Path: path + "/s-", Mode: datatree.Sequential}
	case 3:
		return datatree.DeleteOp{Path: path, Version: version}
	case 4:
		return datatree.CheckOp{Path: path, Version: version}
	}
	return datatree.SetOp{Path: path, Data: []byte{byte(r.Uint32())}, Version: version}
}

func randomRequest(t testing.TB, r *rand.Rand) []byte {
	switch r.IntN(10) {
	case 0:
		return []byte("no request")
	case 1, 2:
		ops := make([]datatree.Op, r.IntN(4))
		for i := range ops {
			ops[i] = randomOp(r)
		}
		return request(t, true, ops...)
	}
	return request(t, false, randomOp(r))
}

func install(t testing.TB, to, from *Znodes, chunk int) {
	t.Helper()
	s := from.Snapshot(chunk)
	defer s.Close()
	var chunks [][]byte
	for {
		c, last, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if len(c) > chunk {
			t.Fatalf("a chunk of %d bytes, asked for %d", len(c), chunk)
		}
		chunks = append(chunks, c)
		if last {
			break
		}
	}
	state, err := to.Decode(chunks)
	if err != nil {
		t.Fatal(err)
	}
	to.Install(state)
	if to.Digest() != from.Digest() || to.View().Zxid() != s.Zxid() {
		t.Fatal("what was installed is not what was read")
	}
	chunks[0] = append(bytes.Clone(chunks[0]), 0)
	if _, err := to.Decode(chunks); err == nil {
		t.Fatal("a damaged snapshot is taken")
	}
}

// asker asks for requests of one session, in order, and again and again.
type asker struct {
	owner   quorum.ID
	run     zab.Incarnation
	session uint64
	calls   []Call            // all there ever were
	answers map[uint64]string // by sequence
	low     uint64
}

// Two members, of which now one and now the other leads. The leader prepares ahead; clients repeat their calls at random.
// Whatever happens, every call is decided once, both members say the same about it, and their digests are equal.
func TestZnodesReplicate(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		members := [2]*Znodes{NewZnodes(testMaxData), NewZnodes(testMaxData)}
		var log []logged    // committed or outstanding
		applied := [2]int{} // by each
		decided := [2]int{} // times the leader refused
		digests := []uint64{members[0].Digest()}
		leader, z, wall := 0, zab.MakeZxid(1, 0), int64(1000)
		clients := []*asker{}
		for i := range 3 {
			clients = append(clients, &asker{owner: quorum.ID(i + 1), run: zab.Incarnation{1}, answers: map[uint64]string{}, low: 1})
		}
		apply := func(m int) {
			e := log[applied[m]]
			applied[m]++
			var o Outcome[Result]
			if e.txn == nil {
				members[m].Advance(e.z)
			} else {
				var err error
				if o, err = members[m].Apply(e.z, bytes.Clone(e.txn)); err != nil {
					t.Fatalf("seed %d: %v: %v", seed, e.z, err)
				}
			}
			d := members[m].Digest()
			if applied[m] == len(digests) {
				digests = append(digests, d)
			} else if digests[applied[m]] != d {
				t.Fatalf("seed %d: digests differ after %v", seed, e.z)
			}
			if o.Opened {
				c := clients[o.Owner-1]
				if c.session != uint64(e.z) && o.Run == c.run {
					if o.Session != uint64(e.z) {
						t.Fatalf("seed %d: %v opened %+v", seed, e.z, o)
					}
					c.session, c.calls, c.low = o.Session, nil, 1
					clear(c.answers)
				}
			}
			for _, c := range clients {
				if o.Name.Session != c.session || o.Name.Session == 0 {
					continue
				}
				if known, ok := c.answers[o.Name.Sequence]; ok && known != outcome(o) {
					t.Fatalf("seed %d: %v is decided twice: %s and %s", seed, o.Name, known, outcome(o))
				}
				c.answers[o.Name.Sequence] = outcome(o)
				if again, ok := members[m].Decided(c.calls[o.Name.Sequence-1]); !ok || again.Name != o.Name || fmt.Sprint(again.Err) != fmt.Sprint(o.Err) || again.Result.First.Path != o.Result.First.Path || len(again.Result.Rest) != len(o.Result.Rest) {
					t.Fatalf("seed %d: %+v is remembered as %+v", seed, o, again)
				}
			}
		}
		for range 600 {
			c := clients[r.IntN(len(clients))]
			switch k := r.IntN(40); {
			case k == 0: // the other member leads, with a prefix of what is outstanding; epochs begin with an entry without a transaction now and then
				members[leader].Abandon()
				committed := max(applied[0], applied[1])
				log = log[:committed+r.IntN(len(log)-committed+1)]
				leader = 1 - leader
				for applied[leader] < len(log) {
					apply(leader)
				}
				z = zab.MakeZxid(z.Epoch()+1, 0)
				wall -= int64(r.IntN(50))
				if r.IntN(2) == 0 {
					z++
					log = append(log, logged{z: z})
					apply(leader)
				}
			case k == 1: // a new run
				c.run[0]++
			case k == 2 && applied[1-leader] < applied[leader]:
				install(t, members[1-leader], members[leader], 1+r.IntN(300))
				applied[1-leader] = applied[leader]
			case k < 6:
				if txn, ok := members[leader].PrepareOpen(z+1, wall, c.owner, c.run, 0); ok {
					z++
					log = append(log, logged{z, txn})
				}
			case k < 24 && c.session != 0:
				wall += int64(r.IntN(5))
				if r.IntN(3) > 0 || len(c.calls) == 0 {
					n := Name{c.session, 0, uint64(len(c.calls) + 1)}
					c.calls = append(c.calls, Call{Name: n, Low: c.low, Payload: randomRequest(t, r)})
				}
				// All that have no answer, in order, and some that have.
				for c.answers[c.low] != "" && r.IntN(3) > 0 {
					c.low++
				}
				from := int(c.low) - 1
				for i := from; i < len(c.calls); i++ {
					if r.IntN(4) == 0 && i+1 < len(c.calls) {
						continue // lost: what follows is a gap and must be refused, unless it was there before
					}
					txn, ok := members[leader].Prepare(z+1, wall, c.calls[i])
					if !ok {
						decided[leader]++
						continue
					}
					z++
					log = append(log, logged{z, txn})
				}
			case applied[leader] < len(log):
				apply(leader)
				for applied[1-leader] < applied[leader] && r.IntN(2) == 0 {
					apply(1 - leader)
				}
			}
		}
		for m := range members {
			for applied[m] < len(log) {
				apply(m)
			}
		}
		if members[0].Digest() != members[1].Digest() || decided[0]+decided[1] == 0 {
			t.Fatalf("seed %d: digests %x %x", seed, members[0].Digest(), members[1].Digest())
		}
		// From the log alone.
		third := NewZnodes(testMaxData)
		sessions := map[quorum.ID]uint64{}
		for _, e := range log {
			if e.txn == nil {
				third.Advance(e.z)
				continue
			}
			o, err := third.Apply(e.z, e.txn)
			if err != nil || o.Zxid != e.z || o.Opened && o.Closed != sessions[o.Owner] {
				t.Fatalf("seed %d: %+v, %v", seed, o, err)
			}
			if o.Opened {
				sessions[o.Owner] = o.Session
			}
		}
		if third.Digest() != members[0].Digest() {
			t.Fatalf("seed %d: the log does not give the state", seed)
		}
	}
}

// started returns a state with a session and its name of the first request.
func started(t testing.TB) (*Znodes, Name) {
	t.Helper()
	s := NewZnodes(testMaxData)
	txn, ok := s.PrepareOpen(1, 5, 1, zab.Incarnation{1}, 0)
	if !ok {
		t.Fatal("no session")
	}
	o, err := s.Apply(1, txn)
	if err != nil || !o.Opened || o.Session != 1 {
		t.Fatal(o, err)
	}
	return s, Name{Session: 1, Sequence: 1}
}

func TestZnodesDecidedAfterSnapshot(t *testing.T) {
	s, n := started(t)
	var want []Outcome[Result]
	var calls []Call
	for i, payload := range [][]byte{
		request(t, false, datatree.CreateOp{Path: "/q"}),
		request(t, false, datatree.CreateOp{Path: "/q/n-", Mode: datatree.Sequential}),
		request(t, true, datatree.CreateOp{Path: "/m"}, datatree.DeleteOp{Path: "/gone"}),
		request(t, true, datatree.CreateOp{Path: "/m"}, datatree.CreateOp{Path: "/m/", Mode: datatree.Sequential}),
		request(t, false, datatree.SetOp{Path: "/q", Version: datatree.VersionOf(7)}),
		request(t, true),
		// Numbers of sequential names, and names that only look like it, of every kind of op.
		request(t, true, datatree.CreateOp{Path: "/q/0000000009"}, datatree.CreateOp{Path: "/q/0000000007", Mode: datatree.Sequential},
			datatree.CheckOp{Path: "/q/0000000009"}, datatree.CreateOp{Path: "/q/9999999999"},
			datatree.CreateOp{Path: "/q/9999999999", Mode: datatree.Sequential}),
		request(t, true, datatree.DeleteOp{Path: "/q/0000000009"}, datatree.SetOp{Path: "/q/00000000070000000002"}),
		[]byte("nonsense"),
		request(t, false, datatree.CreateOp{Path: "/w"}),
		request(t, false, datatree.SetOp{Path: "/w"}),
	} {
		n.Sequence = uint64(i + 1)
		z := zab.Zxid(i + 2)
		txn, ok := s.Prepare(z, int64(i), Call{Name: n, Low: 1, Payload: payload})
		if !ok {
			t.Fatal(n)
		}
		o, err := s.Apply(z, txn)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, o)
		calls = append(calls, Call{Name: n, Payload: payload})
	}
	if e, ok := errors.AsType[*datatree.OpError](want[2].Err); !ok || e.Index != 1 || !errors.Is(e, datatree.ErrNoNode) {
		t.Errorf("the multi: %v", want[2].Err)
	}
	if !errors.Is(want[4].Err, datatree.ErrBadVersion) || !errors.Is(want[8].Err, datatree.ErrBadArguments) {
		t.Errorf("%v, %v", want[4].Err, want[8].Err)
	}
	if r := want[6].Result; r.Rest[0].Path != "/q/00000000070000000002" || r.Rest[3].Path != "/q/99999999990000000004" {
		t.Errorf("%+v", r)
	}
	other := NewZnodes(testMaxData)
	install(t, other, s, 9)
	for i, o := range want {
		got, ok := other.Decided(calls[i])
		known := datatree.Stat{Czxid: o.Zxid, Mzxid: o.Zxid, Pzxid: o.Zxid, Version: datatree.VersionOf(0), Aversion: datatree.VersionOf(0)}
		if i == 6 { // other requests have deleted the one and written to the other since: what the state says would be of a later one
			o.Result.First.Stat, o.Result.Rest[0].Stat = known, known
		}
		if i == 0 || i == 3 { // children were made below since
			got.Result.First.Stat, o.Result.First.Stat = datatree.Stat{}, datatree.Stat{}
		}
		if i == 9 { // its data was set since
			o.Result.First.Stat = known
		}
		if !ok || !reflect.DeepEqual(got, o) {
			t.Errorf("%d: %+v, it was %+v", n.Sequence, got, o)
		}
	}
	n.Sequence++
	if _, ok := other.Decided(Call{Name: n}); ok {
		t.Error("the future is decided")
	}
}

func TestZnodesOwn(t *testing.T) {
	s, n := started(t)
	if x, ok := s.Own(1); x.ID != 1 || x.Run != (zab.Incarnation{1}) || !ok {
		t.Error(x, ok)
	}
	if _, ok := s.PrepareOpen(2, 9, 1, zab.Incarnation{1}, 0); ok {
		t.Error("a session is opened again")
	}
	txn, _ := s.PrepareOpen(2, 9, 1, zab.Incarnation{2}, 0)
	call := Call{Name: n, Low: 1, Payload: request(t, false, datatree.SetOp{Path: "/"})}
	if _, ok := s.Prepare(3, 9, call); ok {
		t.Error("a call of a session that is about to end is judged")
	}
	if o, err := s.Apply(2, txn); err != nil || o.Closed != 1 || o.Session != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if x, _ := s.Own(1); x.Run == (zab.Incarnation{1}) {
		t.Error("the former run has a session")
	}
	if _, err := s.Apply(2, txn); !errors.Is(err, ErrState) {
		t.Errorf("applied twice: %v", err)
	}
}

func TestZnodesTime(t *testing.T) {
	s, n := started(t)
	create := request(t, false, datatree.CreateOp{Path: "/t"})
	txn, _ := s.Prepare(2, 3, Call{Name: n, Low: 1, Payload: create}) // the wall clock stepped back
	if o, err := s.Apply(2, txn); err != nil || o.Result.First.Stat.Ctime.UnixMilli() != 5 {
		t.Errorf("%+v, %v", o, err)
	}
}

// Nothing that Apply is given makes it panic, and what it refuses changes nothing.
func FuzzZnodesApply(f *testing.F) {
	s, n := started(f)
	txn, _ := s.Prepare(2, 9, Call{Name: n, Low: 1, Payload: request(f, false, datatree.CreateOp{Path: "/t"})})
	f.Add(txn)
	s.Abandon()
	txn, _ = s.Prepare(2, 9, Call{Name: n, Low: 1, Payload: request(f, false, datatree.DeleteOp{Path: "/t"})})
	f.Add(txn)
	s.Abandon()
	txn, _ = s.PrepareOpen(2, 9, 1, zab.Incarnation{2}, 0)
	f.Add(txn)
	for _, request := range [][]byte{AppendCreate(nil, 9), AppendClose(nil), AppendResume(nil, 1, s.Password(1))} {
		s.Abandon()
		txn, _ = s.Prepare(2, 9, Call{Name: n, Low: 1, Payload: request})
		f.Add(txn)
	}
	f.Fuzz(func(t *testing.T, txn []byte) {
		s, _ := started(t)
		before := s.Digest()
		if _, err := s.Apply(2, txn); err != nil && s.Digest() != before {
			t.Fatal("a refused transaction changed the state")
		}
	})
}

// FuzzZnodesDecode cuts any bytes in two and takes them for a snapshot.
func FuzzZnodesDecode(f *testing.F) {
	s, _ := started(f)
	r := s.Snapshot(1 << 20)
	head, _, _ := r.Next()
	tree, _, _ := r.Next()
	f.Add(append(bytes.Clone(head), tree...), len(head))
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		state, err := s.Decode([][]byte{b[:cut], b[cut:]})
		if err != nil {
			return
		}
		to := NewZnodes(testMaxData)
		to.Install(state)
		install(t, NewZnodes(testMaxData), to, 100)
	})
}

func BenchmarkZnodes(b *testing.B) {
	for name, op := range map[string]datatree.Op{ // any order: each is measured alone
		"Set":     datatree.SetOp{Path: "/b", Data: make([]byte, 100)},
		"Refusal": datatree.SetOp{Path: "/b", Version: datatree.VersionOf(1 << 30)},
	} {
		b.Run(name, func(b *testing.B) {
			s, n := started(b)
			z := zab.Zxid(1)
			do := func(payload []byte) {
				z++
				txn, ok := s.Prepare(z, 1, Call{Name: n, Low: max(n.Sequence, 100) - 99, Payload: payload})
				if !ok {
					b.Fatal(n)
				}
				if _, err := s.Apply(z, txn); err != nil {
					b.Fatal(err)
				}
				n.Sequence++
			}
			do(request(b, false, datatree.CreateOp{Path: "/b"}))
			payload := request(b, false, op)
			b.ReportAllocs()
			for b.Loop() {
				do(payload)
			}
		})
	}
}
