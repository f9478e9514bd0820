package core

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// ErrDiverged ends a member whose state differs from its leader's, when too much of the history waits for a quorum to say who is right.
var ErrDiverged = errors.New("core: the state differs from the leader's, and no quorum can tell who is right")

// digests compares the states of the members. Each notes what its own digest was after certain entries. At the beginning of an epoch and
// now and then the leader proposes an entry that says what its own was; a member that applies it in the same epoch compares, and tells. One that disagrees applies nothing more until its
// role ends or the leader tells it to reinstall, which the leader does only when a quorum agrees with it since. A leader that a quorum
// disagrees with gives its own state up. An entry of an earlier epoch judges nobody: its proposer cannot be asked.
type digests struct {
	notes  [32]note // ring; what is outstanding between two digests is far less
	n      int
	told   zab.Zxid // the newest note that was proposed in this role
	begun  uint32   // the epoch whose first digest was due last
	differ bool     // this member, from its present leader

	// At a leader, of its present epoch.
	agree, disagree map[quorum.ID]zab.Zxid // the position of the newest comparison
	wrong           map[quorum.ID]bool     // disagrees, or was told to reinstall: until it follows anew it must not lead next
}

type note struct {
	at     zab.Zxid
	digest uint64
}

// maxUnapplied bounds what a member that differs holds back in memory.
const maxUnapplied = 64 << 20

func (d *digests) find(at zab.Zxid) (uint64, bool) {
	for _, n := range d.notes {
		if n.at == at && at != 0 {
			return n.digest, true
		}
	}
	return 0, false
}

func (d *digests) newest() note { return d.notes[(d.n+len(d.notes)-1)%len(d.notes)] }

func (d *digests) note(at zab.Zxid, digest uint64) {
	d.notes[d.n] = note{at, digest}
	d.n = (d.n + 1) % len(d.notes)
}

// installed follows the installation of another state: what was noted of the former one says nothing of it.
func (d *digests) installed() {
	d.notes, d.n, d.differ = [len(d.notes)]note{}, 0, false
}

// before notes, ahead of the first entry of an epoch, what its initial history came to: the leader's first digest is of that.
func (m *Machine[V, R]) before(e *zab.Entry) {
	if e.Zxid.Counter() == 1 && e.Prev != 0 {
		m.digests.note(e.Prev, m.sm.Digest())
	}
}

// after compares what a digest says, and notes this member's own where the others do too.
func (m *Machine[V, R]) after(e *zab.Entry) {
	at, want, ok := e.Digest()
	if ok {
		m.compare(e.Zxid, at, want)
	}
	if ok || e.Zxid.Counter()%m.cfg.DigestEvery == 0 {
		m.digests.note(e.Zxid, m.sm.Digest())
	}
}

// compare judges this member's state by a digest of its leader's.
func (m *Machine[V, R]) compare(z, at zab.Zxid, want uint64) {
	d := &m.digests
	d.told = max(d.told, at)
	mine, ok := d.find(at)
	if !ok || z.Epoch() != m.zab.Epoch() || m.zab.Leader() == m.cfg.Self {
		return
	}
	agrees := mine == want || mutant.On("digest-ignored")
	if !agrees {
		d.differ, m.changed = true, true
		m.zab.Hold(true)
	}
	m.sendTo(m.zab.Leader(), &Compared{At: at, Agrees: agrees})
}

// compared takes, at a leader, what a learner found.
func (m *Machine[V, R]) compared(from quorum.ID, x *Compared) {
	d := &m.digests
	if m.zab.Role() != zab.Leading || x.At.Epoch() > m.zab.Epoch() {
		return
	}
	if d.agree == nil {
		d.agree, d.disagree, d.wrong = map[quorum.ID]zab.Zxid{}, map[quorum.ID]zab.Zxid{}, map[quorum.ID]bool{}
	}
	if x.Agrees {
		d.agree[from] = max(d.agree[from], x.At)
		return
	}
	d.disagree[from] = x.At // until its role ends: it applies nothing more
	d.wrong[from] = true
	delete(d.agree, from)
	m.zab.CallOff(from)
}

// serveDigests proposes a digest when one is due, and sees to those who disagree.
func (m *Machine[V, R]) serveDigests(tick bool) {
	d := &m.digests
	if d.differ && m.zab.Unapplied() > maxUnapplied {
		m.fail(ErrDiverged)
		return
	}
	if m.zab.Role() != zab.Leading || !m.zab.CanPropose() {
		return
	}
	if e := m.zab.Epoch(); d.begun != e {
		d.begun = e
		if at := m.zab.Applied(); at != 0 && at.Epoch() < e {
			d.told = at
			m.zab.ProposeDigest(at, m.sm.Digest()) // this may be the last entry of the epoch
		}
	}
	// While somebody disagrees the others are asked at each tick, whether anybody writes or not.
	if n := d.newest(); n.at > d.told && (n.at.Counter()%m.cfg.DigestEvery == 0 || tick && m.undecided()) {
		if m.zab.ProposeDigest(n.at, n.digest) != 0 {
			d.told = n.at
		}
	}
	if len(d.disagree) == 0 {
		return
	}
	if m.verifier.Contains(func(id quorum.ID) bool { return m.zab.Counting(id) && d.disagree[id] != 0 }) {
		m.reinstall()
		return
	}
	for i := range m.peers {
		id := m.peers[i].id
		at := d.disagree[id]
		sides := func(id quorum.ID) bool {
			return m.zab.Counting(id) && (id == m.cfg.Self || d.agree[id] >= at)
		}
		if at == 0 || !m.verifier.Contains(sides) && !mutant.On("digest-by-leader") {
			continue
		}
		delete(d.disagree, id)
		m.sendTo(id, &Reinstall{At: at})
	}
}

// undecided reports whether a member that counts has yet to take sides in a disagreement.
func (m *Machine[V, R]) undecided() bool {
	d := &m.digests
	latest := zab.Zxid(0)
	for i := range m.peers {
		latest = max(latest, d.disagree[m.peers[i].id])
	}
	return latest != 0 && slices.ContainsFunc(m.peers, func(p peer) bool {
		return m.zab.Counting(p.id) && d.disagree[p.id] == 0 && d.agree[p.id] < latest
	})
}

// reinstall gives this member's state up.
func (m *Machine[V, R]) reinstall() {
	var next zab.Incarnation
	binary.LittleEndian.PutUint64(next[:8], m.draw.Uint64())
	binary.LittleEndian.PutUint64(next[8:], m.draw.Uint64())
	m.changed = true
	m.zab.Renounce(next)
	m.drain()
}

// forget drops what a peer said in a role that has ended.
func (d *digests) forget(id quorum.ID) {
	delete(d.agree, id)
	delete(d.disagree, id)
	delete(d.wrong, id)
}

// forgetDigests ends with a role: who differed from the last leader may agree with the next.
func (m *Machine[V, R]) forgetDigests() {
	d := &m.digests
	d.agree, d.disagree, d.wrong = nil, nil, nil
	if d.differ {
		d.differ, m.changed = false, true
		m.zab.Hold(false)
	}
}
