package sim

import (
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// stepped checks a member after each step.
func (w *World) stepped(n *node, input core.Input, from quorum.ID, msg any, writes int, sends []core.Send) {
	z, v := n.m.Zab(), &n.watch
	role, epoch, est := z.Role(), z.Epoch(), z.Established()
	if _, ok := msg.(zab.Message); ok {
		v.heard[from-1] = v.ticks
	}
	v.hears(input, from, msg)
	w.readyByRight(n)
	if v.reign = epoch; v.role == zab.Leading {
		v.reign = v.epoch // a step may commit in one epoch and begin the next
	}
	was, followed := v.role, v.leader // a step may do something in one role and end it
	if role != v.role || epoch != v.epoch || est != v.est {
		w.changed(n, role, epoch, est)
	}
	v.leader = z.Leader()
	w.inSession(n, from, msg, was, followed, writes, sends)
	w.reaches(n, from, msg, was)
	if c := z.Committed(); c != v.committed || v.at < 0 {
		w.commits(n, c, input, from, was, followed)
	}
	if z.Last() != n.image.last() {
		w.fail("inv/Z6", "member %d says that its log ends at %v, it has written up to %v", n.id, z.Last(), n.image.last())
	}
	if d := z.LastDurable(); d > n.disk.last() && !n.disk.holds(d) {
		w.fail("inv/Z11", "member %d believes %v durable, its store ends at %v", n.id, d, n.disk.last())
	}
	if m := z.Durable(); m != n.disk.mark && (m.Promised > n.disk.mark.Promised || m.Joined > n.disk.mark.Joined) {
		w.fail("inv/Z2", "member %d believes its mark durable: %+v, it is %+v", n.id, m, n.disk.mark)
	}
	if m := z.Durable(); m.Counts && !n.disk.mark.Counts && m.Incarnation == n.disk.mark.Incarnation {
		w.fail("inv/Z20", "member %d believes that its mark says that it counts", n.id)
	}
	if len(n.sm.delivered) > 0 {
		w.deliveries(n)
		v.appliedHere = was == zab.Following && role == zab.Following
	}
	for i := range sends {
		w.sent(n, &sends[i])
	}
	if _, ok := input.(*core.Tick); ok {
		w.contact(n, role, epoch, est)
		w.shutsNobodyOut(n, role, epoch, est)
		w.checkSilence(n)
	}
}

// changed checks a change of role or epoch.
func (w *World) changed(n *node, role zab.Role, epoch uint32, est bool) {
	v, z := &n.watch, n.m.Zab()
	if v.role == zab.Leading && role == zab.Looking {
		w.coverLoss(n)
	}
	if role != v.role || epoch != v.epoch {
		v.since, v.appliedHere = v.ticks, false
	}
	if v.role == zab.Looking {
		w.electedByRight(n, role)
	}
	if v.role == zab.Looking && v.rounds[1] > v.rounds[0] {
		w.cover("election of several rounds")
	}
	if role == zab.Looking {
		clear(v.said)
	}
	v.rounds = [2]uint64{}
	switch {
	case role == zab.Leading && v.role != zab.Leading:
		w.moment(n, atStand)
	case role == zab.Leading && est && !v.est:
		w.moment(n, atEstablish)
	case role == zab.Leading && !est && v.est:
		w.moment(n, atRenew)
	case role == zab.Following && est && !v.est:
		w.moment(n, atUpToDate)
	case role != zab.Following && v.role == zab.Following:
		w.moment(n, atLeave)
	}
	if role == zab.Leading && est && !(v.role == zab.Leading && v.est && v.epoch == epoch) {
		w.cover("leader established")
		if w.cfg.Groups != nil {
			w.cover("leader established by groups")
		}
		if v.led != 0 && v.led != epoch {
			w.cover("epoch renewed in place")
			if last := n.image.lastOf(v.led); w.cfg.MaxCounter == 0 || last.Counter() < w.cfg.MaxCounter {
				w.cover("leader renews above a learner's promise")
			}
		}
		v.led = epoch
		if r, ok := w.leaders[epoch]; ok && r != (reign{n.id, n.run}) {
			w.fail("inv/Z1", "epoch %d is established by member %d (run %d) and by member %d (run %d)", epoch, r.id, r.run, n.id, n.run)
		}
		w.leaders[epoch] = reign{n.id, n.run}
		// What it proposes from now on follows everything that anybody has delivered in earlier epochs. It may be late: a later one may have begun.
		if i, _ := w.place(zab.MakeZxid(epoch, 0)); i > 0 && !n.image.holds(w.log[i-1].zxid) {
			w.fail("inv/Z9", "member %d leads epoch %d without %v, which is committed", n.id, epoch, w.log[i-1].zxid)
		}
		if !w.verifier.CanLead(n.id) {
			w.fail("inv/Z1", "member %d must not lead", n.id)
		}
		w.onDisks(n, n.m.Zab().Committed(), 0)
	}
	if est && z.Last().Epoch() > max(z.Mark().Joined, epoch) {
		w.fail("inv/Z3", "member %d has joined %d and its log ends at %v", n.id, z.Mark().Joined, z.Last())
	}
	if role != zab.Leading {
		v.led = 0
	}
	v.role, v.epoch, v.est = role, epoch, est
}

// contact checks that nobody leads or follows for long without hearing from those it needs.
func (w *World) contact(n *node, role zab.Role, epoch uint32, est bool) {
	v := &n.watch
	limit := 2*w.cfg.SyncLimit + 4
	if !est {
		limit = w.cfg.InitLimit + 2*w.cfg.SyncLimit + 4
	}
	if v.ticks-v.since <= limit {
		return
	}
	switch role {
	case zab.Leading:
		if !w.verifier.Contains(func(id quorum.ID) bool { return id == n.id || v.ticks-v.heard[id-1] <= limit }) {
			w.fail("inv/Z15", "member %d has led epoch %d for %d ticks without a quorum", n.id, epoch, limit)
		}
	case zab.Following, zab.Observing:
		if l := n.m.Zab().Leader(); l != 0 && v.ticks-v.heard[l-1] > limit {
			w.fail("inv/Z15", "member %d has followed %d for %d ticks without a word", n.id, l, limit)
		}
	}
}

// observeCrash counts what a crash interrupts.
func (w *World) observeCrash(n *node) {
	w.note(n, "DOWN")
	if len(n.disk.pending) > 0 {
		w.cover("crash with records lost")
	}
	if !n.disk.mark.Born {
		w.cover("crash during birth")
	}
	w.coverStep(n)
	if n.disk.mark.Promised > n.disk.mark.Joined {
		w.cover("epoch promised, never joined")
	}
}
