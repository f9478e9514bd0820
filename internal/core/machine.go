package core

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// Errors that answer a ticket.
var (
	ErrOverloaded = errors.New("too many requests in flight")
	ErrNotLeading = errors.New("member does not lead, or there is nobody to hand over to")
	// ErrUncertain is joined with the answer to a request that was handed to a leader once, and whose fate this member will not see.
	ErrUncertain = errors.New("the outcome of the write is not known")
	// ErrSuperseded ends a member whose session was ended by another run of it, which opened one later.
	ErrSuperseded = errors.New("core: another run of this member has taken its place")

	errUnsettled = errors.New("core: a step does not come to an end")
)

// Machine is one member. It is not safe for concurrent use.
type Machine[V, R any] struct {
	cfg   Config
	sm    StateMachine[V, R]
	zab   *zab.Machine
	vote  *election.Machine
	voter bool
	draw  *rand.Rand

	verifier quorum.Verifier
	digests  digests

	peers []peer // all other members, ascending
	birth birth

	zout  zab.Output
	eout  election.Output
	out   *Output[V, R]
	outID uint64 // generation of out

	wall     int64
	failed   error
	looks    int  // elections begun in this step
	lookNext bool // an election waits for the next tick, or for writes
	settled  settled
	changed  bool // status
	applied  bool // state
	status   Status

	outbox  outbox
	renewal renewal
	now     time.Duration  // of the last tick
	inbox   queue[inbound] // requests of others
	opens   []open         // sessions to be made, the same
	syncs   syncs
	ticket  uint64 // of a transfer under way, 0: none
}

type peer struct {
	id     quorum.ID
	linked bool
	born   *Birth // as last heard on the present link
	calls  int    // of it in the inbox
	bytes  int    // of their payloads
}

type open struct {
	owner   quorum.ID
	run     zab.Incarnation
	timeout uint32
}

// New returns a member that begins with what it recovered. sm holds the state of its snapshot already if that comes without chunks. The first inputs should be
// Linked for the links that are up.
func New[V, R any](cfg Config, rec Recovered, sm StateMachine[V, R]) *Machine[V, R] {
	m := &Machine[V, R]{sm: sm}
	cfg.MaxHanded = cmp.Or(cfg.MaxHanded, mostHanded)
	cfg.DigestEvery = max(2, cmp.Or(cfg.DigestEvery, digestEvery)) // of 1 each digest would call for the next
	m.cfg = cfg
	verifier, err := quorum.New(cfg.Members)
	if err != nil {
		m.failed = err
		return m
	}
	m.verifier, m.voter = verifier, verifier.Votes(cfg.Self)
	for _, x := range cfg.Members {
		if x.ID != cfg.Self {
			m.peers = append(m.peers, peer{id: x.ID})
		}
	}
	slices.SortFunc(m.peers, func(a, b peer) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	if rec.Mark.Incarnation == (zab.Incarnation{}) {
		rec.Mark.Incarnation = cfg.Incarnation
	}
	rec.Mark.Member = cfg.Self
	if s := rec.Snapshot; s != nil && s.Chunks != nil {
		state, err := sm.Decode(s.Chunks)
		if err != nil {
			m.failed = err
			return m
		}
		sm.Install(state)
	}
	if cfg.Run == (zab.Incarnation{}) {
		m.failed = errNoRun
		return m
	}
	m.draw = rand.New(rand.NewPCG(binary.LittleEndian.Uint64(cfg.Run[8:]), binary.LittleEndian.Uint64(cfg.Run[:8])))
	cfg.MaxInFlight = min(cfg.MaxInFlight, session.MaxWindow)
	if cfg.MaxCounter == 0 || cfg.MaxCounter == math.MaxUint32 {
		cfg.MaxCounter = math.MaxUint32 - 1 // the zxid after it is still one of the epoch
	}
	m.zab = zab.New(zab.Config{
		Self: cfg.Self, Verifier: verifier, Observer: !m.voter, InitLimit: cfg.InitLimit, SyncLimit: cfg.SyncLimit,
		MaxTail: cfg.MaxTail, Window: cfg.Window, MaxBatch: maxBatch, MaxApply: cfg.MaxApply, MaxCounter: cfg.MaxCounter, ReadsLog: cfg.ReadsLog,
		NextSession: sessionNumbers(cfg.Run),
	}, rec, host[V, R]{m})
	m.vote = election.New(election.Config{Self: cfg.Self, Verifier: verifier, Seed: rand.NewPCG(cfg.Seed, uint64(cfg.Self)).Uint64(), FailedWait: failedWait(cfg.SyncLimit)})
	m.outbox.run = cfg.Run
	m.birth.founders = verifier.Voters()
	m.cfg = cfg
	m.lookNext = true
	m.changed, m.applied = true, true
	return m
}

var errNoRun = errors.New("core: a run of a member needs a name")

// sessionNumbers counts the attempts to follow from where the name of the run says. Runs are drawn from so many that none comes
// upon the numbers of another.
func sessionNumbers(run zab.Incarnation) func() zab.Session {
	n := rand.NewPCG(binary.LittleEndian.Uint64(run[:8]), binary.LittleEndian.Uint64(run[8:])).Uint64()
	return func() zab.Session {
		if n++; n == 0 {
			n++ // zero is no session
		}
		return zab.Session(n)
	}
}

// failedWait is for how many ticks a leader that was followed in vain is not believed. To find that out takes SyncLimit ticks and one more: where two voters take
// turns in following it, there are enough ticks for an election in which neither does.
func failedWait(syncLimit int) uint64 { return uint64(max(10, 2*syncLimit)) }

// digestEvery is how many entries there are from one digest to the next.
const digestEvery = 1024

// maxBatch is how many bytes of entries one Propose carries.
const maxBatch = 256 << 10

// Zab returns the protocol's machine, to be looked at.
func (m *Machine[V, R]) Zab() *zab.Machine { return m.zab }

// host is what zab sees of a Machine.
type host[V, R any] struct{ m *Machine[V, R] }

func (h host[V, R]) Apply(e zab.Entry) {
	m := h.m
	if m.failed != nil {
		return
	}
	m.applied = true
	m.out.Grown += int64(len(e.Data)) + 64
	m.before(&e)
	if e.Kind != zab.EntryData {
		m.sm.Advance(e.Zxid)
		m.after(&e)
		return
	}
	o, err := m.sm.Apply(e.Zxid, e.Data)
	if err != nil {
		m.fail(err)
		return
	}
	m.outcome(e.Zxid, &o)
	m.after(&e)
}

func (h host[V, R]) Install(state any) {
	m := h.m
	m.applied = true
	m.sm.Install(state)
	m.digests.installed()
	m.changed = true
	m.jumped()
}

func (h host[V, R]) Snapshot() zab.SnapshotReader { return h.m.sm.Snapshot(h.m.cfg.ChunkSize) }

// Step takes one input and appends what is to be done to out.
func (m *Machine[V, R]) Step(in Input, out *Output[V, R]) {
	if m.out != out || m.outID != out.generation {
		m.out, m.outID = out, out.generation
		m.outbox.forward = nil
		if m.zab != nil {
			m.zab.Collect(&m.zout)
		}
	}
	if m.zab == nil {
		m.answerAll(m.failed)
		m.refuse(in)
		out.Failed = m.failed
		return
	}
	m.looks = 0
	if m.failed == nil {
		m.take(in)
		m.settle()
	}
	if m.failed != nil {
		m.drain() // what is left are goodbyes: nobody must wait for a time-out
		m.answerAll(m.failed)
		m.refuse(in)
		out.Failed = m.failed
	}
	m.publish()
}

// refuse answers the ticket of an input that comes after the end.
func (m *Machine[V, R]) refuse(in Input) {
	var t uint64
	switch x := in.(type) {
	case *Request:
		t = x.Ticket
	case *SyncRequest:
		t = x.Ticket
	case *TransferRequest:
		t = x.Ticket
	}
	if t != 0 && !slices.ContainsFunc(m.out.Replies, func(r Reply[R]) bool { return r.Ticket == t }) {
		m.reply(Reply[R]{Ticket: t, Err: m.failed})
	}
}

func (m *Machine[V, R]) take(in Input) {
	switch x := in.(type) {
	case *Tick:
		jump := x.Wall - m.wall
		m.wall, m.now = x.Wall, x.Now
		m.renewTick()
		m.zab.Tick()
		m.drain()
		if m.renewal.leads && m.zab.Established() {
			m.renewal.ends.tick(m.cfg.Tick)
			m.sm.Elapse()
			for n := int64(1); mutant.On("expiry-by-wall-clock") && n < min(jump/max(1, m.cfg.Tick.Milliseconds()), 1<<20); n++ {
				m.sm.Elapse()
			}
		}
		m.vote.Tick(&m.eout)
		m.birthTick()
		if m.lookNext {
			m.look()
		}
		m.serveDigests(true)
	case *Receive:
		m.receive(x.From, x.Message)
	case *Linked:
		if p := m.peer(x.Peer); p != nil {
			if p.linked {
				m.lost(p)
			}
			p.linked, p.born, m.changed = true, nil, true
			m.sayBirth(p, false)
			m.vote.Linked(x.Peer, &m.eout)
		}
	case *Lost:
		if p := m.peer(x.Peer); p != nil && p.linked {
			m.lost(p)
		}
	case *Request:
		m.wall = x.Wall
		m.request(x)
	case *GiveUp:
		m.giveUp(x)
	case *SyncRequest:
		m.syncRequest(x.Ticket)
	case *TransferRequest:
		m.transfer(x)
	case *Persisted:
		m.zab.Persisted(x.Upto)
	case *Taken:
		m.zab.Received(x.Snapshot, x.At, x.State, x.Err)
	case *Recalled:
		m.zab.ReadDone(x.ID, x.Entries)
	case *Continue:
		m.zab.Continue()
	case *Failed:
		m.fail(x.Err)
	}
}

func (m *Machine[V, R]) lost(p *peer) {
	p.linked, p.born, m.changed = false, nil, true
	m.zab.Lost(p.id)
	m.forget(p)
	m.vote.Lost(p.id, &m.eout)
}

func (m *Machine[V, R]) receive(from quorum.ID, msg Message) {
	p := m.peer(from)
	if p == nil || !p.linked {
		return
	}
	switch x := msg.(type) {
	case *election.Notification:
		m.vote.Receive(from, x, &m.eout)
		m.changed = true
	case *Birth:
		m.heardBirth(p, x)
	case *Forward:
		m.forwarded(p, x)
	case *Compared:
		m.compared(from, x)
	case *Reinstall:
		if m.zab.Leader() == from && m.digests.differ {
			m.reinstall()
		}
	case *Renew:
		m.renew(from, x)
	case *Renewed:
		if m.zab.Leader() == from {
			m.renewed(x)
		}
	case *SyncAsk:
		m.syncAsked(from, x.ID)
	case *SyncAnswer:
		if m.zab.Leader() == from {
			m.syncAnswered(x)
		}
	case zab.Message:
		if _, anew := x.(*zab.FollowerInfo); anew {
			m.forget(p)
		}
		m.zab.Receive(from, x)
	}
}

// mostTurns is how often a step may go round in settle. Three is the most that was ever seen: a mistake must end the member and not hang its host.
const mostTurns = 10_000

// settle carries what election and zab ask of each other until neither asks for more.
func (m *Machine[V, R]) settle() {
	for turns := 0; m.failed == nil; turns++ {
		m.drain()
		if turns == mostTurns {
			m.fail(errUnsettled)
			return
		}
		if id := m.eout.Elected; id != 0 {
			m.eout.Elected = 0
			m.elected(id)
			continue
		}
		for _, s := range m.eout.Sends {
			m.sendTo(s.To, s.Notification)
		}
		m.eout.Reset()
		if m.lookNext && m.looks == 0 && m.zab.Settled() && (m.zab.Mark().Born || mutant.On("promise-before-born") && m.zab.Mark().Counts) && m.zab.Role() == zab.Looking {
			m.look()
			continue
		}
		m.birthSettle()
		m.serve()
		if len(m.zout.Writes) == 0 && len(m.zout.Sends) == 0 && !m.zout.Ended && m.eout.Elected == 0 && len(m.eout.Sends) == 0 && !mutant.On("never-settled") {
			return
		}
	}
}

// drain moves what zab wants done into the Output.
func (m *Machine[V, R]) drain() {
	z := &m.zout
	if n := len(z.Writes); n > 0 {
		m.out.LastWrite = z.Writes[n-1].ID
		if len(m.out.Writes) == 0 {
			m.out.Writes, z.Writes = z.Writes, m.out.Writes // which is clear
		} else {
			m.out.Writes = append(m.out.Writes, z.Writes...)
			clear(z.Writes)
			z.Writes = z.Writes[:0]
		}
	}
	for _, s := range z.Sends {
		m.sendTo(s.To, s.Message)
	}
	clear(z.Sends)
	z.Sends = z.Sends[:0]
	m.out.Reads = append(m.out.Reads, z.Reads...)
	m.out.Pieces = append(m.out.Pieces, z.Pieces...)
	clear(z.Pieces)
	z.Reads, z.Pieces = z.Reads[:0], z.Pieces[:0]
	m.out.More = m.out.More || z.More
	z.More = false
	if z.Err != nil {
		m.fail(z.Err)
	}
	if z.Ended {
		z.Ended = false
		to := z.Handover
		z.Handover = 0
		m.ended(to)
	}
}

// classOf returns the lane that msg travels in.
func classOf(msg Message) Class {
	switch msg.(type) {
	case *zab.Ping, *zab.Pong, *election.Notification, *Birth, *Renew, *Renewed:
		return Control
	case *zab.Chunk:
		return Bulk
	}
	return Log
}

func (m *Machine[V, R]) sendTo(to quorum.ID, msg Message) {
	if p := m.peer(to); p != nil && p.linked {
		m.out.Sends = append(m.out.Sends, Send{to, classOf(msg), msg})
	}
}

func (m *Machine[V, R]) reply(r Reply[R]) {
	if r.Ticket != 0 { // 0 is what this member asks of itself
		m.out.Replies = append(m.out.Replies, r)
	}
}

func (m *Machine[V, R]) peer(id quorum.ID) *peer {
	for i := range m.peers {
		if m.peers[i].id == id {
			return &m.peers[i]
		}
	}
	return nil
}

func (m *Machine[V, R]) fail(err error) {
	if m.failed == nil {
		m.failed, m.changed = err, true
		m.zab.Fail(err)
	}
}

// serve does what a member with a leader does at the end of a step.
func (m *Machine[V, R]) serve() {
	m.tellRole()
	m.vote.SetVotes(m.voter && m.zab.Durable().Counts)
	if m.zab.Role() == zab.Leading {
		m.serveInbox()
	}
	m.serveOutbox()
	m.serveRenewals()
	m.serveSyncs()
	m.serveTransfer()
	m.serveDigests(false)
	m.drain()
}

// answerAll answers every ticket at the end.
func (m *Machine[V, R]) answerAll(err error) {
	m.endOutbox(err)
	for _, s := range m.syncs.asks {
		m.reply(Reply[R]{Ticket: s.ticket, Err: err})
	}
	m.syncs.asks = nil
	if m.ticket != 0 {
		m.reply(Reply[R]{Ticket: m.ticket, Err: err})
		m.ticket = 0
	}
}

// Err returns what ended the machine, or nil. A machine that cannot begin says so before its first step.
func (m *Machine[V, R]) Err() error { return m.failed }

// Snapshot describes the applied state, and begins to encode it as it is between two steps, to be kept. The reader is nil while there is nothing to keep; it may be
// read on another goroutine.
func (m *Machine[V, R]) Snapshot() (zab.Snapshot, zab.SnapshotReader) {
	if m.failed != nil || m.digests.differ {
		return zab.Snapshot{}, nil
	}
	s, ok := m.zab.State()
	if !ok {
		return s, nil
	}
	return s, m.sm.Snapshot(m.cfg.ChunkSize)
}
