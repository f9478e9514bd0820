package zab

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
)

// Host is the state machine that a Machine replicates. It is called from within the Machine's methods, on their goroutine, and may then
// call no methods of the Machine but those that only tell something, Hold and Fail.
type Host interface {
	// Apply applies the next entry: committed, and durable here. e.Data is shared and read-only.
	Apply(e Entry)
	// Install replaces the whole state by one that was decoded from a snapshot.
	Install(state any)
	// Snapshot begins to encode the applied state as it is now.
	Snapshot() SnapshotReader
}

// Config describes one member to its Machine. All limits must be positive. Sizes are those of the data of entries, plus 64 bytes each; what
// reaches Window, MaxBatch or MaxApply is sent or applied, and nothing after it.
type Config struct {
	Self       quorum.ID
	Verifier   quorum.Verifier
	Observer   bool   // this member is no voter
	InitLimit  int    // ticks without progress while joining
	SyncLimit  int    // ticks without contact or progress
	MaxTail    int    // bytes of applied history kept for lagging learners
	Window     int    // bytes sent to a learner and not acknowledged
	MaxBatch   int    // bytes of one Propose
	MaxApply   int    // bytes of entries that are applied at once; 0: all that there are. See Output.More
	MaxCounter uint32 // of a zxid before the epoch is renewed in place
	ReadsLog   bool   // the host answers Output.Reads with what has left the memory; otherwise lagging learners are sent snapshots
	// NextSession draws the number of an attempt to follow; it must never repeat among all members.
	NextSession func() Session
}

// Recovered is what a member finds at its start; the zero value with a Mark is an empty history.
type Recovered struct {
	Mark     Mark
	Snapshot *Snapshot // of the last RESET, already installed in the host
	Entries  []Entry   // after it
	Pos      uint64    // of the last record
}

// Send is a message that may leave now.
type Send struct {
	To      quorum.ID
	Message Message
}

// Output collects what a Machine wants done. Writes are carried out in order; Sends may leave at once. The machine only appends, and may go on
// to change the messages of an Output until the next Collect. Afterwards it is its owner's, and the data in it is shared and read-only.
type Output struct {
	Writes   []Record
	Sends    []Send
	Reads    []Read    // of older history; each answered by ReadDone, unless the role ends before
	Pieces   []Piece   // of a snapshot that is being received, in order; answered by Received
	More     bool      // there is more to apply: call Continue when what else waits has had its turn. Any other call goes on with it, too
	Ended    bool      // the role has ended: look for a leader
	Handover quorum.ID // with Ended: who leads next, if the leader said so
	Err      error     // the machine has ended for good
}

// ErrCommittedTruncated ends a Machine: following this leader would lose something.
var ErrCommittedTruncated = errors.New("zab: the leader's history lacks what is known to be committed")

// ErrSnapshotTooLarge ends a machine that is sent a snapshot of more than 64 GiB.
var ErrSnapshotTooLarge = errors.New("zab: the snapshot that the leader sends is too large")

// Machine is discovery, synchronisation and broadcast of one member: Zab, as a value. It has no goroutine, clock, lock or
// I/O; whoever drives it carries out its Output. It is not safe for concurrent use.
type Machine struct {
	cfg  Config
	host Host

	hist    history
	mark    Mark // as issued
	durable Mark // as persisted
	marks   []Record

	issued, persisted WriteID
	pos               uint64
	committed         Zxid // known committed, and in the history
	applied           Zxid
	readmitted        []Readmitted
	pendingReadmits   []Zxid    // uncommitted EntryReadmit in the history, in order
	part              *Snapshot // received last, and not installed: the host has what there is of it
	reads             uint64    // asked for
	served            Served

	role     Role
	lead     *leader
	learn    *learner
	waiting  []waitingInfo // FollowerInfo of peers that decided before this member did
	install  *install
	out      *Output
	failed   error
	discard  Output // where outputs go that nobody collects
	sealed   uint64
	lastDone Zxid // cache of durable position
	held     bool // nothing is applied

	maxSnapshot uint64 // mostSnapshot, less in tests
}

type waitingInfo struct {
	from quorum.ID
	info *FollowerInfo
}

// install is a received snapshot on its way into the state: RESET is written and not yet persisted.
type install struct {
	id    WriteID
	snap  *Snapshot
	state any
}

// New returns a Machine that looks for a leader.
func New(cfg Config, rec Recovered, host Host) *Machine {
	m := &Machine{cfg: cfg, host: host, mark: rec.Mark, durable: rec.Mark, pos: rec.Pos, maxSnapshot: mostSnapshot}
	if s := rec.Snapshot; s != nil {
		m.hist.base, m.hist.spans = s.Zxid, append([]Span(nil), s.Spans...)
		m.committed, m.applied = s.Zxid, s.Zxid
		m.readmitted = append(m.readmitted, s.Members...)
	}
	for _, e := range rec.Entries {
		m.keep(e, 0)
	}
	m.lastDone = m.hist.last()
	m.out = &m.discard
	return m
}

// Collect directs what follows to out, until the next Collect. It means that the former Output is being carried out; out may be the same one, emptied.
func (m *Machine) Collect(out *Output) {
	m.out = out
	m.sealed++
}

// Mark returns the mark as issued, Durable as persisted.
func (m *Machine) Mark() Mark { return m.mark }

// Durable returns the mark as persisted.
func (m *Machine) Durable() Mark { return m.durable }

// Base returns the zxid before the first entry that is held in memory.
func (m *Machine) Base() Zxid { return m.hist.base }

// Entries returns a copy of the entries that are held in memory, as issued.
func (m *Machine) Entries() []Entry {
	r := make([]Entry, m.hist.items.len())
	for i := range r {
		r[i] = m.hist.items.at(i).Entry
	}
	return r
}

// Last returns the zxid at the end of the history, as issued.
func (m *Machine) Last() Zxid { return m.hist.last() }

// LastDurable returns the zxid up to which the history is persisted.
func (m *Machine) LastDurable() Zxid { return m.lastDone }

// Committed returns the position that this member knows to be committed.
func (m *Machine) Committed() Zxid { return m.committed }

// Applied returns the position up to which the state machine has applied.
func (m *Machine) Applied() Zxid { return m.applied }

// State describes the applied state, for those who keep it: its zxid, the spans of the history up to it, and who that readmitted. It is false while
// there is nothing to keep: an empty state, one that was given up or differs from what others have, or one that is being replaced.
func (m *Machine) State() (Snapshot, bool) {
	if m.applied == 0 || m.install != nil || m.held || m.mark.Spoilt || m.failed != nil {
		return Snapshot{}, false
	}
	return Snapshot{Zxid: m.applied, Spans: spansUpTo(m.hist.spans, m.applied), Members: slices.Clone(m.readmitted)}, true
}

// Role returns the role; Stopped after a failure.
func (m *Machine) Role() Role {
	if m.failed != nil {
		return Stopped
	}
	return m.role
}

// Leader returns the leader: this member, the one it follows, or 0.
func (m *Machine) Leader() quorum.ID {
	switch {
	case m.lead != nil:
		return m.cfg.Self
	case m.learn != nil:
		return m.learn.leader
	}
	return 0
}

// Epoch returns the epoch of the present role, 0 before it is known.
func (m *Machine) Epoch() uint32 {
	switch {
	case m.lead != nil:
		return m.lead.epoch
	case m.learn != nil:
		return m.learn.epoch
	}
	return 0
}

// Established reports whether the epoch of the role is established, as far as this member knows.
func (m *Machine) Established() bool {
	switch {
	case m.lead != nil:
		return m.lead.phase == established
	case m.learn != nil:
		return m.learn.upToDate
	}
	return false
}

// Serving reports whether the initial history of the role is applied, on top of Established.
func (m *Machine) Serving() bool {
	switch {
	case m.lead != nil:
		return m.lead.served
	case m.learn != nil:
		return m.learn.upToDate && (m.applied >= m.learn.ready || mutant.On("ready-before-applied"))
	}
	return false
}

// Settled reports whether everything issued is persisted and installed: only then may the member vote or stand.
func (m *Machine) Settled() bool {
	done := m.persisted == m.issued || mutant.On("settled-early") && m.persisted+1 == m.issued
	return done && m.install == nil
}

// Write issues a new mark that changes only what f changes. It is how the birth of an ensemble is recorded.
func (m *Machine) Write(f func(*Mark)) WriteID {
	f(&m.mark)
	return m.issue(Record{Kind: RecordMark, Mark: m.mark})
}

func (m *Machine) issue(r Record) WriteID {
	m.issued++
	r.ID = m.issued
	if r.Kind != RecordMark {
		m.pos++
		r.Pos = m.pos
	} else {
		m.marks = append(m.marks, r)
	}
	m.out.Writes = append(m.out.Writes, r)
	return r.ID
}

func (m *Machine) send(to quorum.ID, msg Message) {
	m.out.Sends = append(m.out.Sends, Send{to, msg})
}

func (m *Machine) fail(err error) {
	if m.failed == nil {
		m.failed = err
		m.endRole()
		m.out.Err = err
	}
}

// Fail ends the machine: a write or sync failed. Nothing is acknowledged any more.
func (m *Machine) Fail(err error) { m.fail(err) }

// keep appends an entry to the picture of the history.
func (m *Machine) keep(e Entry, id WriteID) {
	m.hist.append(e, id)
	if e.Kind == EntryReadmit {
		m.pendingReadmits = append(m.pendingReadmits, e.Zxid)
	}
}

// add appends an entry to the history and its record to the log.
func (m *Machine) add(e Entry) {
	m.keep(e, m.issue(Record{Kind: RecordEntry, Entry: e}))
}

func (m *Machine) truncate(z Zxid) {
	m.hist.truncate(z)
	for n := len(m.pendingReadmits); n > 0 && m.pendingReadmits[n-1] > z; n-- {
		m.pendingReadmits = m.pendingReadmits[:n-1]
	}
	m.lastDone = min(m.lastDone, z)
	if !mutant.On("trunc-unwritten") {
		m.issue(Record{Kind: RecordTrunc, Zxid: z})
	}
}

// Persisted tells that all writes up to id are durable.
func (m *Machine) Persisted(id WriteID) {
	if id <= m.persisted || m.failed != nil {
		return
	}
	m.persisted = id
	for len(m.marks) > 0 && m.marks[0].ID <= id {
		m.durable = m.marks[0].Mark
		m.marks = m.marks[1:]
	}
	if m.hist.reset <= id {
		m.hist.reset = 0
	}
	m.lastDone = m.hist.durable(id)
	if i := m.install; i != nil && i.id <= id {
		m.install = nil
		m.installed(i)
	}
	switch {
	case m.lead != nil:
		m.leaderPersisted()
	case m.learn != nil:
		m.learnerPersisted()
	}
	m.advance()
}

func (m *Machine) installed(i *install) {
	m.applied, m.committed = i.snap.Zxid, max(m.committed, i.snap.Zxid)
	m.host.Install(i.state)
	m.readmitted = append(m.readmitted[:0], i.snap.Members...)
	m.held = false
	if m.mark.Spoilt {
		m.Write(func(k *Mark) { k.Spoilt = false })
	}
	if l := m.learn; l != nil && l.receiving == i.snap {
		l.receiving, l.installed = nil, i.snap.Zxid
		m.part = nil
		m.send(l.leader, &Installed{l.session})
	}
	m.checkReadmitted()
}

// advance applies what is committed and durable.
func (m *Machine) advance() {
	if m.install != nil || m.failed != nil || m.held || m.mark.Spoilt {
		return
	}
	to := min(m.committed, m.lastDone)
	if mutant.On("apply-undurable") {
		to = min(m.committed, m.hist.last())
	}
	if mutant.On("apply-uncommitted") && m.lead != nil && m.lead.phase == gathering {
		to = m.lastDone
	}
	if to <= m.applied {
		return
	}
	i, _ := m.hist.after(m.applied)
	begin := m.hist.sizeTo(i)
	for ; i < m.hist.end() && m.hist.at(i).Zxid <= to && m.failed == nil && !m.held; i++ {
		if m.cfg.MaxApply > 0 && m.hist.sizeTo(i)-begin >= uint64(m.cfg.MaxApply) {
			m.out.More = true
			break
		}
		e := m.hist.at(i).Entry
		m.applied = e.Zxid
		if e.Kind == EntryReadmit {
			m.readmit(e)
		}
		m.host.Apply(e)
	}
	for len(m.pendingReadmits) > 0 && m.pendingReadmits[0] <= m.applied {
		m.pendingReadmits = m.pendingReadmits[1:]
	}
	m.checkReadmitted()
	if m.hist.bytes-m.hist.sizeTo(m.hist.first) > uint64(m.cfg.MaxTail) {
		m.hist.drop(m.tailFloor(), m.cfg.MaxTail)
	}
	if m.lead != nil {
		m.leaderApplied()
	}
}

// Continue goes on with what Config.MaxApply has left to be applied.
func (m *Machine) Continue() { m.advance() }

func (m *Machine) readmit(e Entry) {
	for i := range m.readmitted {
		if m.readmitted[i].Member == e.Member {
			m.readmitted[i].Incarnation = e.Incarnation
			return
		}
	}
	m.readmitted = append(m.readmitted, Readmitted{e.Member, e.Incarnation})
}

// isReadmitted reports whether the applied history readmitted this incarnation of a member, and no later one.
func (m *Machine) isReadmitted(id quorum.ID, inc Incarnation) bool {
	for _, r := range m.readmitted {
		if r.Member == id {
			return r.Incarnation == inc || mutant.On("readmit-names-nobody")
		}
	}
	return false
}

// checkReadmitted records that this member counts again, once its readmission is committed and durable here. The mark is
// the only proof: a log may hold a Readmit that was never committed (trace F1 of the model).
func (m *Machine) checkReadmitted() {
	if m.mark.Counts || m.cfg.Observer || !m.isReadmitted(m.cfg.Self, m.mark.Incarnation) {
		return
	}
	if mutant.On("counts-in-memory") {
		m.mark.Counts, m.durable.Counts = true, true
		return
	}
	m.Write(func(k *Mark) { k.Counts = true })
}

// Receive takes a message from the present link to a peer. It keeps what is in the message, which is read-only from now on.
func (m *Machine) Receive(from quorum.ID, msg Message) {
	if m.failed != nil {
		return
	}
	switch x := msg.(type) {
	case *FollowerInfo:
		m.followerInfo(from, x)
	case *AckEpoch, *Ack, *Pong, *Fetch, *Installed:
		m.fromLearner(from, msg)
	case *Refuse:
		m.waiting = slices.DeleteFunc(m.waiting, func(w waitingInfo) bool { return w.from == from && w.info.Session == x.Session })
		if m.lead != nil {
			m.learnerGone(from, x)
		} else {
			m.fromLeader(from, msg)
		}
	default:
		m.fromLeader(from, msg)
	}
	m.advance()
}

func (m *Machine) followerInfo(from quorum.ID, x *FollowerInfo) {
	if m.beyond(x.Promised) {
		m.send(from, &Refuse{Session: x.Session})
		return
	}
	if m.lead != nil {
		m.newLearner(from, x)
		return
	}
	if m.learn != nil || !m.Settled() { // nor may it stand before it is settled
		m.send(from, &Refuse{Session: x.Session})
		return
	}
	m.forgetWaiting(from)
	m.waiting = append(m.waiting, waitingInfo{from, x})
}

func (m *Machine) forgetWaiting(id quorum.ID) {
	for i := range m.waiting {
		if m.waiting[i].from == id {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			return
		}
	}
}

// Lost tells that the link to a peer ended, with everything that was said on it.
func (m *Machine) Lost(peer quorum.ID) {
	m.forgetWaiting(peer)
	switch {
	case m.lead != nil:
		m.dropLearner(peer)
	case m.learn != nil && m.learn.leader == peer:
		m.endRole()
	}
}

// Tick tells that one tick has passed.
func (m *Machine) Tick() {
	switch {
	case m.failed != nil:
	case m.lead != nil:
		m.leaderTick()
	case m.learn != nil:
		m.learnerTick()
	}
	m.advance()
}

// Stop ends the present role, politely: peers are told.
func (m *Machine) Stop() { m.endRole() }

func (m *Machine) endRole() { m.leave(0) }

// leave ends the present role; a learner tells the promise that shuts its leader out, if there is one.
func (m *Machine) leave(promised uint32) {
	switch {
	case m.lead != nil:
		for _, l := range m.lead.learners {
			l.transfer.close()
			m.send(l.id, &Refuse{Session: l.session})
		}
		for _, p := range m.lead.parked {
			p.close()
		}
	case m.learn != nil:
		m.send(m.learn.leader, &Refuse{m.learn.session, promised})
	default:
		return
	}
	m.lead, m.learn, m.role = nil, nil, Looking
	m.out.Ended = true
}
