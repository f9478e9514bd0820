package sim

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The registers are the state machine of the simulator: keys that are created, set under a version and deleted, a counter that numbers sequential
// creates, and one pair of keys that is only ever written together. Every request carries a unique id, so that its transaction can be found.

const (
	keys     = 16
	pairA    = keys - 2
	pairB    = keys - 1
	padding  = 300 // bytes in a snapshot, so that it has several chunks
	opLen    = 16
	callLen  = 1 + 8 + 4 + 8 + 8 + opLen + 1 + 4 + 8
	openLen  = 1 + 8 + 16 + 8
	tagOpen  = 1
	tagCall  = 2
	anyVer   = -1
	maxSlots = 8
)

// Operations.
const (
	opCreate uint8 = iota // refused when it exists
	opSet                 // under a version or -1
	opDelete              // the same
	opNext                // sequential create: takes the next number
	opPair                // writes both keys of the pair
	opKinds
)

// Verdicts.
var (
	errExists  = errors.New("registers: exists")
	errNone    = errors.New("registers: no such key")
	errVersion = errors.New("registers: bad version")
	verdicts   = [...]error{nil, errExists, errNone, errVersion}
)

// op is a request: id(8) kind(1) key(1) version(4) pad(2).
type op struct {
	id      uint64
	kind    uint8
	key     uint8
	version int32
}

func (o op) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, o.id)
	b = append(b, o.kind, o.key)
	b = binary.BigEndian.AppendUint32(b, uint32(o.version))
	return append(b, 0, 0)
}

func decodeOp(b []byte) op {
	return op{id: binary.BigEndian.Uint64(b), kind: b[8], key: b[9], version: int32(binary.BigEndian.Uint32(b[10:]))}
}

// randomOp draws a request.
func randomOp(r *rand.Rand, id uint64) []byte {
	o := op{id: id, kind: uint8(r.IntN(int(opKinds))), key: uint8(r.IntN(pairA)), version: anyVer}
	if (o.kind == opSet || o.kind == opDelete) && r.IntN(2) == 0 {
		o.version = int32(r.IntN(4))
	}
	return o.append(make([]byte, 0, opLen))
}

// register is one key.
type register struct {
	exists  bool
	version int32
	value   uint64 // id of the op that wrote it
	czxid   zab.Zxid
}

// Result is what a caller gets.
type Result struct {
	ID      uint64
	Zxid    zab.Zxid
	Version int32  // of the register afterwards
	Number  uint32 // opNext
}

// view is a state for readers.
type view struct {
	zxid zab.Zxid
	regs [keys]register
	next uint32
}

// decided is an entry of a window.
type decided struct {
	seq     uint64
	verdict uint8
	result  Result
}

// client is the session of a member's run.
type client struct {
	id     uint64
	owner  quorum.ID
	run    zab.Incarnation
	last   uint64
	window []decided
}

// opened is a session whose transaction is outstanding.
type opened struct {
	id  uint64
	run zab.Incarnation
}

// registers implements core.StateMachine.
type registers struct {
	view
	count    int
	sum      uint64 // rolling hash over everything applied
	sessions []client
	shared   *view // handed out and still equal to view

	// Speculation of a leader: the state as the outstanding transactions will leave it.
	spec    map[uint8]register
	next2   uint32
	clients map[uint64]uint64 // session: last sequence prepared
	opening map[quorum.ID]opened
}

func newRegisters() *registers {
	m := &registers{}
	m.Abandon()
	return m
}

func (m *registers) Abandon() {
	m.spec = map[uint8]register{}
	m.clients = map[uint64]uint64{}
	m.opening = map[quorum.ID]opened{}
	m.next2 = m.next
}

func (m *registers) session(id uint64) *client {
	for i := range m.sessions {
		if m.sessions[i].id == id {
			return &m.sessions[i]
		}
	}
	return nil
}

// expects returns the last sequence of a session as all outstanding transactions will leave it, those that open and end sessions included.
func (m *registers) expects(id uint64) (last uint64, ok bool) {
	for owner, o := range m.opening {
		if o.id == id {
			return m.clients[id], true
		}
		if s := m.session(id); s != nil && s.owner == owner {
			return 0, false
		}
	}
	s := m.session(id)
	if s == nil {
		return 0, false
	}
	return max(m.clients[id], s.last), true
}

func (m *registers) Prepare(z zab.Zxid, wall int64, c core.Call) ([]byte, bool) {
	last, ok := m.expects(c.Name.Session)
	if !ok || c.Name.Generation > 1 || c.Name.Sequence != last+1 && !(mutant.On("retry-judged-anew") && c.Name.Sequence == last && last%8 == 0) || len(c.Payload) != opLen {
		return nil, false
	}
	m.clients[c.Name.Session] = c.Name.Sequence
	o := decodeOp(c.Payload)
	r, ok := m.spec[o.key]
	if !ok {
		r = m.regs[o.key]
	}
	verdict, number := uint8(0), uint32(0)
	switch o.kind {
	case opCreate:
		if r.exists {
			verdict = 1
		} else {
			r = register{exists: true, value: o.id, czxid: z}
		}
	case opSet, opDelete:
		switch {
		case !r.exists:
			verdict = 2
		case o.version != anyVer && o.version != r.version:
			verdict = 3
		case o.kind == opDelete:
			r = register{}
		default:
			r.version, r.value = r.version+1, o.id
		}
	case opNext:
		m.next2 = max(m.next2, m.next) + 1
		number = m.next2
	}
	if verdict == 0 && o.kind <= opDelete {
		m.spec[o.key] = r
	}
	b := make([]byte, 0, callLen)
	b = append(b, tagCall)
	b = binary.BigEndian.AppendUint64(b, c.Name.Session)
	b = binary.BigEndian.AppendUint32(b, c.Name.Generation)
	b = binary.BigEndian.AppendUint64(b, c.Name.Sequence)
	b = binary.BigEndian.AppendUint64(b, c.Low)
	b = append(b, c.Payload...)
	b = append(b, verdict)
	b = binary.BigEndian.AppendUint32(b, number)
	return binary.BigEndian.AppendUint64(b, uint64(wall)), true
}

func (m *registers) PrepareOpen(z zab.Zxid, wall int64, owner quorum.ID, run zab.Incarnation) ([]byte, bool) {
	if o, ok := m.opening[owner]; ok && o.run == run {
		return nil, false
	}
	if _, ok := m.Find(owner, run); ok {
		return nil, false
	}
	m.opening[owner] = opened{uint64(z), run}
	b := append(make([]byte, 0, openLen), tagOpen)
	b = binary.BigEndian.AppendUint64(b, uint64(owner))
	b = append(b, run[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(wall)), true
}

// parsed is a transaction of the registers.
type parsed struct {
	open    bool
	owner   quorum.ID
	run     zab.Incarnation
	name    core.Name
	low     uint64
	op      op
	verdict uint8
	number  uint32
}

func parse(txn []byte) (p parsed, ok bool) {
	switch {
	case len(txn) == openLen && txn[0] == tagOpen:
		p.open, p.owner = true, quorum.ID(binary.BigEndian.Uint64(txn[1:]))
		copy(p.run[:], txn[9:])
		return p, true
	case len(txn) == callLen && txn[0] == tagCall:
		p.name = core.Name{Session: binary.BigEndian.Uint64(txn[1:]), Generation: binary.BigEndian.Uint32(txn[9:]), Sequence: binary.BigEndian.Uint64(txn[13:])}
		p.low, p.op = binary.BigEndian.Uint64(txn[21:]), decodeOp(txn[29:])
		p.verdict, p.number = txn[29+opLen], binary.BigEndian.Uint32(txn[30+opLen:])
		return p, int(p.verdict) < len(verdicts)
	}
	return p, false
}

func (m *registers) Apply(z zab.Zxid, txn []byte) (o core.Outcome[any], err error) {
	p, ok := parse(txn)
	if !ok {
		return o, errors.New("registers: bad transaction")
	}
	m.touch(z)
	m.sum = (m.sum ^ uint64(z)) * 0x100000001b3
	if p.open {
		m.sum = (m.sum ^ uint64(p.owner)) * 0x100000001b3
		o.Opened, o.Owner, o.Run, o.Session = true, p.owner, p.run, uint64(z)
		i := slices.IndexFunc(m.sessions, func(c client) bool { return c.owner == p.owner })
		if i >= 0 {
			o.Closed = m.sessions[i].id
			m.sessions = slices.Delete(slices.Clone(m.sessions), i, i+1)
		}
		m.sessions = append(m.sessions, client{id: uint64(z), owner: p.owner, run: p.run})
		if m.opening[p.owner].id == uint64(z) {
			delete(m.opening, p.owner)
		}
		return o, nil
	}
	m.sum = (m.sum ^ p.op.id) * 0x100000001b3
	r := &m.regs[p.op.key]
	res := Result{ID: p.op.id, Zxid: z}
	if p.verdict == 0 {
		switch p.op.kind {
		case opCreate:
			*r = register{exists: true, value: p.op.id, czxid: z}
			m.count++
		case opSet:
			r.version, r.value = r.version+1, p.op.id
		case opDelete:
			*r = register{}
			m.count--
		case opNext:
			m.next, res.Number = p.number, p.number
		case opPair:
			for _, k := range [...]int{pairA, pairB} {
				q := &m.regs[k]
				if !q.exists {
					*q = register{exists: true, value: p.op.id, czxid: z}
					m.count++
				} else {
					q.version, q.value = q.version+1, p.op.id
				}
			}
		}
		if p.op.kind < opDelete {
			res.Version = r.version
		}
	}
	o.Name, o.Result, o.Err = p.name, res, verdicts[p.verdict]
	if s := m.session(p.name.Session); s != nil {
		s.last = p.name.Sequence
		s.window = slices.DeleteFunc(s.window, func(d decided) bool { return d.seq < p.low })
		s.window = append(s.window, decided{p.name.Sequence, p.verdict, res})
	}
	return o, nil
}

func (m *registers) Advance(z zab.Zxid) { m.touch(z) }

func (m *registers) touch(z zab.Zxid) { m.zxid, m.shared = z, nil }

func (m *registers) View() any {
	if m.shared == nil {
		v := m.view
		m.shared = &v
	}
	return m.shared
}

func (m *registers) Digest() uint64 { return m.sum }

func (m *registers) Find(owner quorum.ID, run zab.Incarnation) (uint64, bool) {
	for i := range m.sessions {
		if m.sessions[i].owner == owner && m.sessions[i].run == run {
			return m.sessions[i].id, true
		}
	}
	return 0, false
}

func (m *registers) Decided(c core.Call) (o core.Outcome[any], ok bool) {
	n := c.Name
	s := m.session(n.Session)
	if s == nil {
		return o, false
	}
	for _, d := range s.window {
		if d.seq == n.Sequence {
			return core.Outcome[any]{Name: n, Zxid: d.result.Zxid, Result: d.result, Err: verdicts[d.verdict]}, true
		}
	}
	return o, false
}

// encode writes the state for a snapshot.
func (m *registers) encode() []byte {
	u := binary.BigEndian.AppendUint64
	b := u(nil, uint64(m.zxid))
	b = u(b, m.sum)
	b = u(b, uint64(m.count))
	b = u(b, uint64(m.next))
	for _, r := range m.regs {
		x := uint64(0)
		if r.exists {
			x = 1
		}
		b = u(u(u(u(b, x), uint64(r.version)), r.value), uint64(r.czxid))
	}
	b = u(b, uint64(len(m.sessions)))
	for _, c := range m.sessions {
		b = u(u(b, c.id), uint64(c.owner))
		b = append(b, c.run[:]...)
		b = u(u(b, c.last), uint64(len(c.window)))
		for _, d := range c.window {
			b = u(u(u(u(u(u(b, d.seq), uint64(d.verdict)), d.result.ID), uint64(d.result.Zxid)), uint64(d.result.Version)), uint64(d.result.Number))
		}
	}
	b = append(b, make([]byte, padding)...)
	h := fnv.New64a()
	h.Write(b)
	return u(b, h.Sum64())
}

var errSnapshot = errors.New("registers: bad snapshot")

func (m *registers) Decode(chunks [][]byte) (any, error) {
	b := slices.Concat(chunks...)
	if len(b) < 8+padding {
		return nil, errSnapshot
	}
	h := fnv.New64a()
	h.Write(b[:len(b)-8])
	if h.Sum64() != binary.BigEndian.Uint64(b[len(b)-8:]) {
		return nil, errSnapshot
	}
	u := func() uint64 {
		x := binary.BigEndian.Uint64(b)
		b = b[8:]
		return x
	}
	n := newRegisters()
	n.zxid, n.sum, n.count, n.next = zab.Zxid(u()), u(), int(u()), uint32(u())
	for i := range n.regs {
		n.regs[i] = register{u() == 1, int32(u()), u(), zab.Zxid(u())}
	}
	n.sessions = make([]client, u())
	for i := range n.sessions {
		c := &n.sessions[i]
		c.id, c.owner = u(), quorum.ID(u())
		copy(c.run[:], b)
		b = b[16:]
		c.last = u()
		c.window = make([]decided, u())
		for j := range c.window {
			c.window[j] = decided{u(), uint8(u()), Result{u(), zab.Zxid(u()), int32(u()), uint32(u())}}
		}
	}
	n.next2 = n.next
	return n, nil
}

func (m *registers) Install(state any) {
	*m = *state.(*registers)
	m.sessions = slices.Clone(m.sessions)
	for i := range m.sessions {
		m.sessions[i].window = slices.Clone(m.sessions[i].window)
	}
	m.shared = nil
	m.Abandon()
}

// reader implements zab.SnapshotReader.
type reader struct {
	z     zab.Zxid
	b     []byte
	chunk int
}

func (m *registers) Snapshot(chunk int) zab.SnapshotReader { return &reader{m.zxid, m.encode(), chunk} }

func (r *reader) Zxid() zab.Zxid { return r.z }
func (r *reader) Close()         {}
func (r *reader) Next() ([]byte, bool) {
	n := min(r.chunk, len(r.b))
	c := r.b[:n:n]
	r.b = r.b[n:]
	return c, len(r.b) == 0
}
