package zab

import (
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

type nothing struct{}

func (nothing) Apply(Entry)              {}
func (nothing) Install(any)              {}
func (nothing) Snapshot() SnapshotReader { return nil }

// Whoever proposes without asking first does no harm: not before the epoch is established, nor when its counter is used up.
func TestProposeRefuses(t *testing.T) {
	one, err := quorum.New([]quorum.Member{{ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{
		Self: 1, Verifier: one, InitLimit: 10, SyncLimit: 10, MaxTail: 1 << 20, Window: 1 << 20, MaxBatch: 1 << 16, MaxCounter: 2,
		NextSession: func() Session { return 1 },
	}, Recovered{Mark: Mark{Member: 1, Counts: true, Born: true}}, nothing{})
	var out Output
	m.Collect(&out)
	refused := func(when string) {
		t.Helper()
		writes, last := len(out.Writes), m.Last()
		if z, d := m.Propose([]byte("x")), m.ProposeDigest(1, 1); z != 0 || d != 0 || len(out.Writes) != writes || m.Last() != last {
			t.Fatalf("%s: %v and %v were proposed", when, z, d)
		}
	}
	persist := func() {
		for m.Persisted(out.Writes[len(out.Writes)-1].ID); !m.Settled(); {
			m.Persisted(out.Writes[len(out.Writes)-1].ID)
		}
	}
	refused("looking")
	m.Lead()
	refused("its promise is not durable")
	persist()
	if a, b := m.Propose([]byte("a")), m.Propose([]byte("b")); a != MakeZxid(1, 1) || b != MakeZxid(1, 2) {
		t.Fatal(a, b)
	}
	refused("the counter is used up and the next epoch not established")
	persist()
	if z := m.ProposeDigest(MakeZxid(1, 2), 7); z != MakeZxid(2, 1) {
		t.Fatal(z)
	}
	if e := out.Writes[len(out.Writes)-1].Entry; m.Last() != e.Zxid {
		t.Fatalf("%+v", e)
	} else if at, digest, ok := e.Digest(); !ok || at != MakeZxid(1, 2) || digest != 7 {
		t.Fatal(at, digest, ok)
	}
}
