package core

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/zab"
)

// SetSecret gives the secret that passwords are made with if this member leads when the ensemble needs one, and has none.
func (s *Znodes) SetSecret(k session.Key) { s.secret = k }

// Lead begins the timeouts of all sessions, in ticks of that length: this member leads, and the quorum that made it the leader knows of everything that
// was confirmed to anybody before.
func (s *Znodes) Lead(tick time.Duration) {
	s.sessions.Lead(tick)
}

// Elapse lets a tick pass for the leader.
func (s *Znodes) Elapse() { s.sessions.Elapse() }

// Touch notes, at the leader, that the owner of a session in that generation is alive. It reports false if that does not keep the session: it is not there, has
// moved, or its end has begun.
func (s *Znodes) Touch(id uint64, generation uint32) bool { return s.sessions.Touch(id, generation) }

// PrepareEnd returns the transaction that ends the next session whose time is over; ok is false when there is none.
func (s *Znodes) PrepareEnd(z zab.Zxid, wall int64) (txn []byte, ok bool) {
	for z > s.last && z > s.tree.Zxid() {
		id, ok := s.sessions.Over()
		if !ok {
			return nil, false
		}
		at := s.time(wall)
		txn := binary.AppendUvarint(append(s.room(64), txnEnd), id)
		txn, err := s.appendClose(z, at, id, binary.AppendUvarint(txn, uint64(at)))
		if err != nil {
			continue // no state refuses it
		}
		s.sessions.ClaimClose(id)
		s.next, s.last = at, z
		return s.made(txn), true
	}
	return nil, false
}

// appendClose appends the transaction of the tree that lets the ephemerals of a session go.
func (s *Znodes) appendClose(z zab.Zxid, at int64, id uint64, txn []byte) ([]byte, error) {
	return s.tree.Prepare(z, at, []datatree.Op{datatree.CloseSessionOp{Session: id}}, false, txn)
}

// appendKey appends the secret if none is applied: of several that are outstanding the first is taken.
func (s *Znodes) appendKey(txn []byte) []byte {
	if s.secret == (session.Key{}) || *s.sessions.Key() != (session.Key{}) {
		return append(txn, 0)
	}
	return append(append(txn, 1), s.secret[:]...)
}

func (h *header) key() (k session.Key) {
	if h.uint(1) == 0 {
		return k
	}
	if len(h.b) < len(k) {
		h.bad, h.b = true, nil
		return k
	}
	h.b = h.b[copy(k[:], h.b):]
	return k
}

// PrepareOpen returns the transaction that opens the own session of owner's run, if there is one to be opened.
func (s *Znodes) PrepareOpen(z zab.Zxid, wall int64, owner quorum.ID, run zab.Incarnation, timeout uint32) ([]byte, bool) {
	if z <= s.last || z <= s.tree.Zxid() {
		return nil, false
	}
	ends, ok := s.sessions.FreshOpen(uint64(z), owner, run)
	if !ok {
		return nil, false
	}
	at := s.time(wall)
	txn := binary.AppendUvarint([]byte{txnBegin}, uint64(owner))
	txn = append(txn, run[:]...)
	for _, v := range [...]uint64{uint64(at), uint64(timeout), ends} {
		txn = binary.AppendUvarint(txn, v)
	}
	txn = s.appendKey(txn)
	if ends != 0 {
		var err error
		if txn, err = s.appendClose(z, at, ends, txn); err != nil {
			return nil, false // no state refuses it
		}
	}
	s.sessions.ClaimOpen(uint64(z), owner, run)
	s.next, s.last = at, z
	return txn, true
}

func (s *Znodes) applyBegin(z zab.Zxid, h *header) (o Outcome[Result], err error) {
	owner := quorum.ID(h.uint(math.MaxUint64))
	var run zab.Incarnation
	h.b = h.b[copy(run[:], h.b):]
	at, timeout, ends := int64(h.uint(math.MaxInt64)), uint32(h.uint(math.MaxUint32)), h.uint(math.MaxUint64)
	key := h.key()
	if mine, _ := s.Own(owner); h.bad || owner == 0 || ends != mine.ID || (ends == 0) != (len(h.b) == 0) || s.sessions.CanOpen(uint64(z), owner) != nil {
		return o, ErrState
	}
	if ends == 0 {
		err = s.tree.Advance(z)
	} else {
		_, err = s.tree.Apply(z, at, h.b)
	}
	if err != nil {
		return o, err
	}
	closed, err := s.sessions.Open(uint64(z), owner, run, timeout)
	if err != nil {
		return o, err
	}
	s.sessions.SetKey(key)
	s.now, o.Zxid = at, z
	o.Opened, o.Owner, o.Run, o.Session, o.Timeout, o.Closed = true, owner, run, uint64(z), timeout, closed
	return o, nil
}

func (s *Znodes) applyEnd(z zab.Zxid, h *header) (o Outcome[Result], err error) {
	id, at := h.uint(math.MaxUint64), int64(h.uint(math.MaxInt64))
	if _, ok := s.sessions.Get(id); h.bad || !ok {
		return o, ErrState
	}
	if _, err := s.tree.Apply(z, at, h.b); err != nil {
		return o, err
	}
	s.now, o.Zxid = at, z
	return o, s.close(id, &o)
}

// close ends a session whose ephemerals have gone.
func (s *Znodes) close(id uint64, o *Outcome[Result]) error {
	o.Closed = id
	return s.sessions.Close(id)
}

// applySession opens a client's session, or moves one, for the member whose own session asked.
func (s *Znodes) applySession(z zab.Zxid, create bool, by uint64, h *header, o *Outcome[Result]) error {
	mine, _ := s.sessions.Get(by)
	if create {
		timeout, key := uint32(h.uint(math.MaxUint32)), session.Key{}
		if key = h.key(); h.bad || len(h.b) != 0 || timeout == 0 {
			return ErrState
		}
		if err := s.sessions.OpenFor(uint64(z), mine.Owner, mine.Run, timeout); err != nil {
			return err
		}
		s.sessions.SetKey(key)
		o.Session, o.Timeout = uint64(z), timeout
		if mutant.On("session-told-by-clock") {
			o.Session = uint64(s.now)
		}
	} else {
		id := h.uint(math.MaxUint64)
		if h.bad || len(h.b) != 0 || id == by {
			return ErrState
		}
		generation, err := s.sessions.Move(id, mine.Owner, mine.Run)
		if err != nil {
			return err
		}
		x, _ := s.sessions.Get(id)
		o.Session, o.Generation, o.Timeout = id, generation, x.Timeout
	}
	o.Attached = true
	return s.tree.Advance(z)
}

// Session says what is known of a session, if it is there.
func (s *Znodes) Session(id uint64) (x session.Session, ok bool) { return s.sessions.Get(id) }

// Password returns what whoever resumes a session has to know.
func (s *Znodes) Password(id uint64) []byte { return s.sessions.Key().Password(id) }
