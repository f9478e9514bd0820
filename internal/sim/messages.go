package sim

import (
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// sent checks a message as it leaves.
func (w *World) sent(n *node, s *core.Send) {
	d := &n.disk
	switch x := s.Message.(type) {
	case *zab.AckEpoch:
		if !x.Promise {
			w.cover("promise refused")
			return
		}
		if !x.Counts || !d.mark.Counts {
			w.fail("inv/Z2", "blank member %d promises epoch %d", n.id, x.Epoch)
		}
		if d.mark.Promised < x.Epoch {
			w.fail("inv/Z2", "member %d promises epoch %d, durable is %d", n.id, x.Epoch, d.mark.Promised)
		}
		w.promise(n, x.Epoch, s.To)
	case *zab.LeaderInfo:
		if d.mark.Promised < x.Epoch {
			w.fail("inv/Z2", "member %d stands for epoch %d, durable is %d", n.id, x.Epoch, d.mark.Promised)
		}
		w.promise(n, x.Epoch, n.id)
	case *zab.Ack:
		if !d.holds(x.Zxid) {
			w.fail("inv/Z11", "member %d acknowledges %v, its store ends at %v", n.id, x.Zxid, d.last())
		}
		w.acknowledges(n, x.Zxid)
		if x.Joined && d.mark.Joined < x.Epoch {
			w.fail("inv/Z11", "member %d acknowledges NEWLEADER of %d, durable is %d", n.id, x.Epoch, d.mark.Joined)
		}
		if x.Counts && !d.mark.Counts {
			w.fail("inv/Z11", "blank member %d says that it counts", n.id)
		}
		if x.Joined && n.m.Zab().Mark().Promised != x.Epoch {
			w.fail("inv/Z11", "member %d acknowledges in epoch %d after it has promised %d", n.id, x.Epoch, n.m.Zab().Mark().Promised)
		}
	case *zab.Pong:
		if m := n.m.Zab().Mark(); x.Confirms && (!d.mark.Counts || d.mark.Joined != x.Epoch || m.Promised != x.Epoch) {
			w.fail("inv/Z15", "member %d confirms epoch %d, its mark is %+v", n.id, x.Epoch, m)
		}
	case *zab.Installed:
		if d.snap == nil || n.image.snap == nil || d.snap.Zxid != n.image.snap.Zxid {
			w.fail("inv/Z11", "member %d says that a snapshot is installed, and its RESET is not durable", n.id)
		}
	case *zab.FollowerInfo:
		n.watch.session = x.Session
		n.watch.reaching.ended()
		if d.mark != n.image.mark || d.last() != n.image.last() {
			w.fail("inv/E2", "member %d asks to be led with %v and %+v; durable are %v and %+v", n.id, n.image.last(), n.image.mark, d.last(), d.mark)
		}
	case *election.Notification:
		n.watch.looks(x)
		if v := x.Vote; x.State == election.Looking && !x.Ask && v.Leader == n.id && (d.mark.Joined < v.Epoch || !d.holds(v.Zxid)) {
			w.fail("inv/E2", "member %d votes for itself with %v, durable are %v and %+v", n.id, v, d.last(), d.mark)
		}
	case *core.Birth:
		if k := d.mark; x.Born && !k.Born || x.Counts && !k.Counts || x.Ensemble != k.Ensemble && x.Ensemble != (zab.EnsembleID{}) || !x.Promised && k.Promised > 0 && !k.Born {
			w.fail("inv/Z23", "member %d says of its birth %+v, durable is %+v", n.id, *x, k)
		}
	case *zab.NewLeader:
		w.leadsByMark(n, x.Epoch)
	case *zab.Sync:
		w.leadsByMark(n, x.Epoch)
		if to := w.nodes[s.To-1]; x.Snapshot {
			w.cover("SNAP")
		} else if to.up {
			trunc, diff := x.Keep < to.image.last(), n.image.last() > x.Keep
			switch {
			case trunc && diff:
				w.cover("TRUNC+DIFF")
			case trunc:
				w.cover("TRUNC")
			case diff:
				w.cover("DIFF")
			default:
				w.cover("EMPTY")
			}
		}
	case *zab.Handover:
		w.cover("handover")
	case *core.Forward:
		w.ref.bearers[x.Run] = n.holder
	}
}

// leadsByMark checks that a leader that synchronises others has joined its epoch, durably.
func (w *World) leadsByMark(n *node, epoch uint32) {
	if n.disk.mark.Joined < epoch {
		w.fail("inv/Z2", "member %d opens epoch %d, durable is %d", n.id, epoch, n.disk.mark.Joined)
	}
}

func (w *World) promise(n *node, epoch uint32, to quorum.ID) {
	w.backs(n, epoch, to)
	p := promise{n.disk.mark.Incarnation, epoch}
	if old, ok := w.promises[p]; ok && old != to {
		w.fail("inv/Z2", "member %d promises epoch %d to %d and to %d", n.id, epoch, old, to)
	}
	w.promises[p] = to
}
