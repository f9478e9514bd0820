package sim

import (
	"sort"

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
	endings  map[zab.Zxid]ending // ends of sessions that leaders have proposed
	ref      *reference
	counting
	nodeStarts int
	glimpsing  bool
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
	return judge{minted: map[zab.Zxid]uint64{}, leaders: map[uint32]reign{}, promises: map[promise]quorum.ID{}, digests: map[zab.Zxid]uint64{}, endings: map[zab.Zxid]ending{}, ref: newReference(), counting: newCounting()}
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
	appliedHere        bool // an entry, in this role
	since              int  // tick in which role and epoch began
	ticks              int
	heard              []int // tick in which a message of Zab came from the member
	broken             bool
	lastTicket         map[uint64]uint64 // by session
	lastAnswer         map[uint64]zab.Zxid
	toldHere           zab.Zxid
	birthing           bool
	jumpFrom, jumpTo   zab.Zxid // the entries that the last snapshot installed has in place of applying them
	late               bool     // its memory began after the birth
	forgot             bool     // its memory began anew, and it has had no session of its own since
	hearing
	reaching
	silence silence
}

// wiped begins a new memory; late says that the birth was complete by then.
func (v *watch) wiped(late bool) {
	v.promised, v.joined, v.late, v.forgot, v.torn, v.diff = 0, 0, late, true, false, false
}

// began forgets what ends with a run.
func (v *watch) began(n *node, base zab.Zxid) {
	*v = watch{promised: v.promised, joined: v.joined, heard: v.heard, hearing: v.hearing, reaching: reaching{torn: v.torn || v.diff}, late: v.late, forgot: v.forgot, lastTicket: map[uint64]uint64{}, lastAnswer: map[uint64]zab.Zxid{}}
	clear(v.heard)
	v.hearing.clear()
	v.committed = base
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
