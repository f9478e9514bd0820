package sim

import (
	"slices"
	"sort"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// committed is an entry of the one history.
type committed struct {
	zxid zab.Zxid
	hash uint64
	data bool
}

// judge knows what the whole ensemble has done.
type judge struct {
	log      []committed         // decided, in order
	minted   map[zab.Zxid]uint64 // every entry there ever was
	leaders  map[uint32]reign
	promises map[promise]quorum.ID
	digests  map[zab.Zxid]uint64
	ref      *reference
	counting
	nodeStarts int
}

type reign struct {
	id  quorum.ID
	run uint32
}

type promise struct {
	by    zab.Incarnation
	epoch uint32
}

func newJudge() judge {
	return judge{minted: map[zab.Zxid]uint64{}, leaders: map[uint32]reign{}, promises: map[promise]quorum.ID{}, digests: map[zab.Zxid]uint64{}, ref: newReference(), counting: newCounting()}
}

// watch is what the judge remembers of one member.
type watch struct {
	committed, applied zab.Zxid
	at                 int // entries of the log that are committed here
	given              int // and delivered
	promised, joined   uint32
	role               zab.Role
	leader             quorum.ID
	led                uint32 // epoch that it led last, without a break since
	epoch              uint32
	reign              uint32 // in which it commits in this step
	est                bool
	since              int // tick in which role and epoch began
	ticks              int
	heard              []int // tick in which a message of Zab came from the member
	broken             bool
	lastTicket         uint64
	lastAnswer         zab.Zxid
	toldHere           zab.Zxid
	birthing           bool
	jumpFrom, jumpTo   zab.Zxid // the entries that the last snapshot installed has in place of applying them
	late               bool     // its memory began after the birth
	hearing
}

// wiped begins a new memory; late says that the birth was complete by then.
func (v *watch) wiped(late bool) { v.promised, v.joined, v.late = 0, 0, late }

// began forgets what ends with a run.
func (v *watch) began(n *node) {
	*v = watch{promised: v.promised, joined: v.joined, heard: v.heard, hearing: v.hearing, late: v.late}
	clear(v.heard)
	v.hearing.clear()
	v.committed = n.disk.base()
	v.applied = v.committed
	v.at = -1 // to be looked up
	v.birthing = !n.disk.mark.Born
}

func hashEntry(e *zab.Entry) uint64 {
	h := uint64(0xcbf29ce484222325) ^ uint64(e.Kind)<<8 ^ uint64(e.Member)<<16
	for _, b := range e.Data {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	for _, b := range e.Incarnation {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return h
}

func (j *judge) lastCommitted() zab.Zxid {
	if len(j.log) == 0 {
		return 0
	}
	return j.log[len(j.log)-1].zxid
}

// place returns how many entries of the log are at or before z, and whether z is one of them (or 0).
func (j *judge) place(z zab.Zxid) (int, bool) {
	if z == j.lastCommitted() {
		return len(j.log), true
	}
	i := sort.Search(len(j.log), func(i int) bool { return j.log[i].zxid > z })
	return i, z == 0 || i > 0 && j.log[i-1].zxid == z
}

// issued checks a record as it is handed over.
func (w *World) issued(n *node, r *zab.Record) {
	switch r.Kind {
	case zab.RecordEntry:
		e := &r.Entry
		last := n.image.last()
		if e.Prev != last || e.Zxid <= last {
			w.fail("inv/Z4", "member %d writes %v (after %v) behind %v", n.id, e.Zxid, e.Prev, last)
		}
		if e.Zxid.Epoch() == last.Epoch() && e.Zxid.Counter() != last.Counter()+1 || e.Zxid.Epoch() != last.Epoch() && e.Zxid.Counter() != 1 {
			w.fail("inv/Z4", "member %d writes %v behind %v: a gap", n.id, e.Zxid, last)
		}
		if most := w.cfg.MaxCounter; most != 0 && e.Zxid.Counter() > most {
			w.fail("inv/Z4", "member %d writes %v: the counter ends at %d", n.id, e.Zxid, most)
		}
		h := hashEntry(e)
		if old, ok := w.minted[e.Zxid]; ok && old != h {
			w.fail("inv/Z7", "member %d writes another %v than there is", n.id, e.Zxid)
		} else if !ok {
			w.minted[e.Zxid] = h
			// A step may propose and then end the epoch.
			z, epoch := n.m.Zab(), e.Zxid.Epoch()
			if (z.Role() != zab.Leading || z.Epoch() != epoch) && (n.watch.role != zab.Leading || n.watch.epoch != epoch) {
				w.fail("inv/Z7", "member %d writes %v, which no leader of that epoch proposed", n.id, e.Zxid)
			}
			if e.Kind == zab.EntryReadmit {
				w.cover("readmission")
			}
		}
		if e.Kind == zab.EntryReadmit {
			w.moment(n, atReadmit)
		}
	case zab.RecordTrunc:
		if z := n.sm.outstanding(); z > r.Zxid {
			w.fail("inv/Z16", "member %d cuts its log behind %v and still judges by %v", n.id, r.Zxid, z)
		}
	case zab.RecordMark:
		if m := n.image.mark; r.Mark.Promised < m.Promised || r.Mark.Joined < m.Joined {
			w.fail("inv/Z2", "member %d goes back from promised %d joined %d to %d, %d", n.id, m.Promised, m.Joined, r.Mark.Promised, r.Mark.Joined)
		}
		if r.Mark.Spoilt && !n.image.mark.Spoilt {
			w.cover("state given up")
			if n.watch.role == zab.Leading {
				w.cover("state given up by a leader")
			}
		}
		if r.Mark.Joined > r.Mark.Promised {
			w.fail("inv/Z2", "member %d joins %d and has promised %d only", n.id, r.Mark.Joined, r.Mark.Promised)
		}
		w.countsByRight(n, n.image.mark, r.Mark)
		w.joinsByRight(n, n.image.mark, r.Mark)
	}
	n.image.apply(r)
}

// durable makes a record durable and checks what becomes of the store.
func (w *World) durable(n *node, r *zab.Record) {
	last, mark := n.disk.last(), n.disk.mark
	counts := mark.Counts
	if r.Kind == zab.RecordMark && r.Mark.Spoilt && !n.disk.mark.Spoilt {
		p := n.disk // what it acknowledged counts as lost from now on, as by a wipe
		p.entries = slices.Clone(p.entries)
		n.past = &p
	}
	removed := n.disk.apply(r)
	d := &n.disk
	switch r.Kind {
	case zab.RecordEntry:
		if r.Entry.Prev != last {
			w.fail("inv/Z4", "store of %d: %v follows %v", n.id, r.Entry.Zxid, last)
		}
		if r.Entry.Zxid.Epoch() > d.mark.Promised {
			w.fail("inv/Z3", "store of %d: %v while promised is %d", n.id, r.Entry.Zxid, d.mark.Promised)
		}
		return
	case zab.RecordTrunc:
		w.moment(n, atCut)
		w.removedCommitted(n, removed, "TRUNC")
	case zab.RecordReset:
		w.moment(n, atCut)
		if counts {
			w.removedCommitted(n, removed, "RESET")
		}
		if _, ok := w.place(r.Snapshot.Zxid); !ok {
			w.fail("inv/Z16", "member %d installs a snapshot of %v, which is not committed", n.id, r.Snapshot.Zxid)
		}
	case zab.RecordMark:
		if r.Mark.Counts && !counts && d.mark.Born {
			w.cover("blank member counts again")
		}
		w.counting.born = w.counting.born || r.Mark.Born
		w.counting.promised = max(w.counting.promised, r.Mark.Promised)
		w.marked(n, mark, r.Mark)
	}
	w.checkDurability()
}

func (w *World) removedCommitted(n *node, removed *zab.Entry, by string) {
	if removed == nil {
		return
	}
	w.cover("proposal lost")
	if i, ok := w.place(removed.Zxid); ok && w.log[i-1].hash == hashEntry(removed) {
		w.fail("inv/Z12", "%s at member %d removes %v, which is committed", by, n.id, removed.Zxid)
	}
}

// checkDurability is the cheap form of: were all to lose their power now, every quorum that counts would have a member that holds everything committed
// and that is at least as fresh as the rest of it.
func (w *World) checkDurability() {
	last := w.lastCommitted()
	if last == 0 {
		return
	}
	for _, bad := range w.nodes[:w.cfg.Voters] {
		if !bad.disk.mark.Counts || bad.disk.holds(last) {
			continue
		}
		if w.verifier.Contains(func(id quorum.ID) bool {
			m := &w.nodes[id-1].disk
			return m.mark.Counts && !m.fresher(&bad.disk)
		}) {
			w.fail("inv/DUR", "after a loss of power member %d (joined %d, last %v) could lead without %v", bad.id, bad.disk.mark.Joined, bad.disk.last(), last)
		}
	}
}

// onDisks checks that a quorum that counts holds z durably, and has joined the epoch in which it is committed. A store that was wiped since counts as
// lost with what it held: its acknowledgement was given for good, and wiped stores are a minority at each instant. checkDurability judges what is left.
func (w *World) onDisks(n *node, z zab.Zxid, without quorum.ID) {
	epoch := n.watch.reign
	has := func(d *store) bool { return d.mark.Counts && d.mark.Joined >= epoch && d.holds(z) }
	if !w.verifier.Contains(func(id quorum.ID) bool {
		m := w.nodes[id-1]
		return id != without && (has(&m.disk) || m.past != nil && has(m.past))
	}) {
		w.fail("inv/Z10", "member %d commits %v, which no quorum of stores holds", n.id, z)
	}
}

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
	}
	for i := range sends {
		w.sent(n, &sends[i])
	}
	if _, ok := input.(*core.Tick); ok {
		w.contact(n, role, epoch, est)
		w.shutsNobodyOut(n, role, epoch, est)
	}
}

// changed checks a change of role or epoch.
func (w *World) changed(n *node, role zab.Role, epoch uint32, est bool) {
	v, z := &n.watch, n.m.Zab()
	if v.role == zab.Leading && v.est && role == zab.Looking {
		w.cover("leader lost quorum")
	}
	if role != v.role || epoch != v.epoch {
		v.since = v.ticks
	}
	if v.role == zab.Looking {
		w.electedByRight(n, role)
	}
	if role == zab.Looking {
		clear(v.said)
	}
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

// commits checks that what a member takes for committed is the one history, and lengthens that if it is a leader.
func (w *World) commits(n *node, c zab.Zxid, input core.Input, from quorum.ID, was zab.Role, followed quorum.ID) {
	v, z := &n.watch, n.m.Zab()
	if c < v.committed {
		w.fail("inv/Z13", "member %d goes back from committed %v to %v", n.id, v.committed, c)
	}
	if v.at < 0 {
		i, ok := w.place(v.committed)
		if !ok {
			w.fail("inv/Z5", "member %d begins at %v, which is not committed", n.id, v.committed)
		}
		v.at, v.given = i, i
	}
	if c == v.committed {
		return
	}
	if _, ok := input.(*core.Receive); ok && z.Role() == zab.Following && was == zab.Following && z.Leader() != from && followed != from {
		w.fail("inv/Z19", "member %d follows %d and learns a commit position from %d", n.id, z.Leader(), from)
	}
	if i, ok := w.place(c); ok { // known: the same entries must be here
		if c > n.image.base() {
			e, here := n.image.find(c)
			if !here {
				w.fail("inv/Z6", "member %d takes %v for committed and does not have it", n.id, c)
			}
			if hashEntry(&e) != w.log[i-1].hash {
				w.fail("inv/Z5", "member %d has another %v than is committed", n.id, c)
			}
		}
		v.at, v.committed = i, c
		return
	}
	if last := w.lastCommitted(); c < last {
		w.fail("inv/Z5", "member %d commits %v, which is not in the history that ends at %v", n.id, c, last)
	}
	if z.Role() != zab.Leading && was != zab.Leading {
		w.fail("inv/Z14", "member %d takes %v for committed, which no leader has committed", n.id, c)
	}
	w.extend(n, c)
	v.at, v.committed = len(w.log), c
}

// extend appends to the one history what a leader commits.
func (w *World) extend(n *node, c zab.Zxid) {
	last := w.lastCommitted()
	if !n.image.holds(last) {
		w.fail("inv/Z5", "leader %d commits %v and does not have %v, which is committed", n.id, c, last)
	}
	es := n.image.entries
	i := sort.Search(len(es), func(i int) bool { return es[i].Zxid > last })
	for ; i < len(es) && es[i].Zxid <= c; i++ {
		e := &es[i]
		if e.Zxid <= last || e.Prev != last {
			w.fail("inv/Z8", "%v is committed behind %v", e.Zxid, last)
		}
		last = e.Zxid
		if e.Kind == zab.EntryReadmit {
			w.readmits[life{e.Member, e.Incarnation}] = true
			w.onDisks(n, e.Zxid, e.Member)
			w.moment(n, atReadmitted)
		}
		if e.Zxid.Epoch() != n.m.Zab().Epoch() {
			w.cover("uncommitted entry of an old leader committed")
		}
		w.log = append(w.log, committed{e.Zxid, hashEntry(e), e.Kind == zab.EntryData})
		w.mix(hashEntry(e))
		if e.Kind == zab.EntryData {
			if t, ok := core.ReadHeader(e.Data); ok && t.Opens {
				w.cover("session opened")
			}
			if err := w.ref.commit(e.Zxid, e.Data); err != nil {
				w.failWith(err)
			}
		}
	}
	if last != c {
		w.fail("inv/Z6", "leader %d commits %v, its log has %v there", n.id, c, last)
	}
	w.onDisks(n, c, 0)
	w.checkDurability()
	w.moment(n, atCommit)
}

// deliveries checks what a step has applied.
func (w *World) deliveries(n *node) {
	v := &n.watch
	for _, d := range n.sm.delivered {
		if d.install {
			i, ok := w.place(d.zxid)
			if !ok || i < v.given {
				w.fail("inv/Z16", "member %d installs the state of %v after it has applied %d entries, the snapshot has %d", n.id, d.zxid, v.given, i)
			}
			v.jumpFrom, v.jumpTo = 0, d.zxid
			if v.given > 0 {
				v.jumpFrom = w.log[v.given-1].zxid
			}
			v.given = i
		} else {
			if d.zxid > n.m.Zab().Committed() {
				w.fail("inv/Z14", "member %d applies %v, committed is %v", n.id, d.zxid, n.m.Zab().Committed())
			}
			if v.given >= len(w.log) || w.log[v.given].zxid != d.zxid {
				w.fail("inv/Z6", "member %d applies %v as entry %d of the history", n.id, d.zxid, v.given)
			}
			if e := w.log[v.given]; e.data != d.data || d.data && e.hash != d.hash {
				w.fail("inv/Z7", "member %d applies other bytes at %v", n.id, d.zxid)
			}
			v.given++
			if !n.disk.holds(d.zxid) {
				w.fail("inv/Z14", "member %d applies %v, which its store does not hold", n.id, d.zxid)
			}
		}
		if old, ok := w.digests[d.zxid]; ok && old != d.digest {
			w.fail("inv/Z16", "member %d has digest %x at %v, another has %x", n.id, d.digest, d.zxid, old)
		}
		w.digests[d.zxid] = d.digest
	}
	n.sm.delivered = n.sm.delivered[:0]
}

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
	case *zab.FollowerInfo:
		n.watch.session = x.Session
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
	case *zab.Propose:
		l := w.nodes[s.To-1]
		if l.up && l.m.Zab().Role() != zab.Looking && !l.m.Zab().Established() && x.Commit > l.m.Zab().Committed() {
			w.cover("commit between NEWLEADER and UPTODATE")
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
	z := n.m.Zab()
	if len(n.disk.pending) > 0 {
		w.cover("crash with records lost")
	}
	if !n.disk.mark.Born {
		w.cover("crash during birth")
	}
	if z.Role() != zab.Looking && !z.Established() {
		w.cover("crash between steps of sync")
	}
	if n.disk.mark.Promised > n.disk.mark.Joined {
		w.cover("epoch promised, never joined")
	}
}

// audit compares everything with everything, at the end of a phase.
func (w *World) audit() {
	for i, n := range w.nodes {
		if d := n.sm.Digest(); d != w.nodes[0].sm.Digest() {
			w.fail("inv/Z17", "member %d has digest %x, member 1 has %x", n.id, d, w.nodes[0].sm.Digest())
		}
		w.auditTree(n)
		at := len(w.log)
		for j := len(n.disk.entries) - 1; j >= 0; j-- {
			at--
			e := &n.disk.entries[j]
			if at < 0 || w.log[at].zxid != e.Zxid || w.log[at].hash != hashEntry(e) {
				w.fail("inv/Z5", "store of member %d has %v at place %d", n.id, e.Zxid, at)
			}
		}
		if p, ok := w.place(n.disk.base()); !ok || p != at {
			w.fail("inv/Z5", "store of member %d: %d entries come before its first, the snapshot %v has %d", n.id, at, n.disk.base(), p)
		}
		if i == 0 && !w.cfg.Bootstrap {
			w.cover("birth")
		}
	}
}

// auditTree compares all of a member's tree with the reference.
func (w *World) auditTree(n *node) {
	v := n.sm.Tree().View()
	defer v.Release()
	if err := w.ref.check(v); err != nil {
		w.failWith(err)
	}
	if err := checkShape(slices.Collect(v.Walk("/"))); err != nil {
		w.failWith(err)
	}
	if v.Zxid() != w.lastCommitted() {
		w.fail("inv/Z17", "member %d is at %v, the history ends at %v", n.id, v.Zxid(), w.lastCommitted())
	}
}
