package ensemble_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

// A member that learns from a snapshot that its Set took effect, and cannot know the version it made any more, is given one that no znode has.
func TestStatOfARecalledSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		net := transport.NewMemory()
		members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		nodes := map[ensemble.ID]*ensemble.Node{}
		for _, m := range members {
			n := must[*ensemble.Node](t)(ensemble.Open(ctx, ensemble.Config{ID: m.ID, Members: members, Transport: net.Peer(m.ID)}))
			defer n.Close()
			nodes[m.ID] = n
		}
		for _, n := range nodes {
			if err := n.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		l := nodes[1].Status().Leader
		id := l%3 + 1
		n, other := nodes[id], nodes[6-l-id]
		must[string](t)(n.Create(ctx, "/x", nil, 0))
		must[string](t)(n.Create(ctx, "/big", nil, 0))
		net.CutOneWay(l, id)
		p := n.Submit(ensemble.SetOp{Path: "/x", Data: []byte("mine")})
		wait(t, 100*time.Millisecond)
		net.Partition([]ensemble.ID{id}, []ensemble.ID{l, 6 - l - id})
		must[ensemble.Stat](t)(other.Set(ctx, "/x", []byte("theirs"), ensemble.AnyVersion))
		for range 20 {
			must[ensemble.Stat](t)(other.Set(ctx, "/big", make([]byte, 1<<20), ensemble.AnyVersion))
		}
		net.Heal()
		r, err := p.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r.Zxid == 0 || r.Stat.Mzxid != r.Zxid || r.Stat.Version != ensemble.NoVersion {
			t.Errorf("%+v", r)
		}
		if _, err := n.Set(ctx, "/x", []byte("mine again"), r.Stat.Version); !errors.Is(err, ensemble.ErrBadVersion) {
			t.Errorf("a write that expects the version of an acknowledged one overwrote what came between: %v", err)
		}
	})
}
