package core

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// What happens to sessions. They are verdicts, or say why a call has none.
var (
	// ErrExpired says that the session has ended, that there is none of that id, or that the password is wrong.
	ErrExpired = errors.New("session has ended")
	// ErrMoved says that the session was resumed elsewhere, or here once more.
	ErrMoved = errors.New("session has moved")
)

// codeExpired stands for ErrExpired where verdicts of the tree have their codes, which are given from 1 upwards.
const codeExpired = 254

func codeOf(err error) byte {
	if errors.Is(err, ErrExpired) {
		return codeExpired
	}
	return byte(datatree.CodeOf(err))
}

// A request is an array of datatree.AppendOps, and the host's own; or it begins with one of these bytes, which no array begins with:
//
//	as: the number of identities, scheme and id of each (their lengths before them), then what datatree.AppendOps made
//	create: the timeout in milliseconds
//	resume: the session, then the password
//	close
const (
	requestAs     = 1
	requestCreate = 2
	requestResume = 3
	requestClose  = 4
)

// MaxIdentities bounds what a caller may say of itself.
const MaxIdentities = 256

// AppendAs appends what comes before the ops of a request that is made by somebody with these identities, who is not the host.
func AppendAs(b []byte, ids []datatree.Identity) []byte {
	b = binary.AppendUvarint(append(b, requestAs), uint64(len(ids)))
	for _, id := range ids {
		for _, s := range [...]string{id.Scheme, id.ID} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return b
}

// AppendCreate appends the request for a client's session. It is made on the own session of the member that is to serve it.
func AppendCreate(b []byte, timeout uint32) []byte {
	return binary.AppendUvarint(append(b, requestCreate), uint64(timeout))
}

// AppendResume appends the request to serve session from now on. It is made like that of AppendCreate.
func AppendResume(b []byte, session uint64, password []byte) []byte {
	return append(binary.AppendUvarint(append(b, requestResume), session), password...)
}

// AppendClose appends the request to end the session that it is made on.
func AppendClose(b []byte) []byte { return append(b, requestClose) }

// Waits tells whether a call is about a session whose opening is outstanding.
func (s *Znodes) Waits(c Call) bool {
	if !s.sessions.Outstanding() {
		return false
	}
	about := c.Name.Session
	if len(c.Payload) > 0 && c.Payload[0] == requestResume && !s.sessions.Opening(about) {
		h := header{b: c.Payload[1:]}
		about = h.uint(math.MaxUint64)
	}
	return s.sessions.Opening(about)
}

// judge appends what a request comes to, and says of which kind the transaction is.
func (s *Znodes) judge(who *datatree.Caller, z zab.Zxid, at int64, id uint64, request, txn []byte, kind int) ([]byte, error) {
	if s.caller = (datatree.Caller{Session: id, Host: true}); who != nil {
		s.caller = *who
	}
	if len(request) == 0 || request[0] > requestClose {
		return s.tree.PrepareRequestFor(&s.caller, z, at, request, txn)
	}
	h := header{b: request[1:]}
	switch request[0] {
	case requestAs:
		s.caller = datatree.Caller{Session: id, Identities: h.identities()}
		if h.bad {
			break
		}
		return s.tree.PrepareRequestFor(&s.caller, z, at, h.b, txn)
	case requestCreate:
		timeout := h.uint(math.MaxUint32)
		switch {
		case h.bad || len(h.b) != 0 || timeout == 0:
			h.bad = true
		case !s.sessions.CanOpenFor():
			return txn, datatree.ErrQuotaExceeded
		default:
			s.sessions.ClaimOpen(uint64(z), 0, zab.Incarnation{})
			txn[kind] = txnCreate
			return s.appendKey(binary.AppendUvarint(txn, timeout)), nil
		}
	case requestResume:
		moved := h.uint(math.MaxUint64)
		switch {
		case h.bad:
		case !s.sessions.Key().Opens(moved, h.b) && !mutant.On("password-unchecked"), moved == id, !s.sessions.FreshMove(moved):
			return txn, ErrExpired
		default:
			s.sessions.ClaimMove(moved)
			txn[kind] = txnMove
			return binary.AppendUvarint(txn, moved), nil
		}
	case requestClose:
		if len(h.b) != 0 {
			break
		}
		txn[kind] = txnClose
		return s.appendClose(z, at, id, txn)
	}
	return txn, &datatree.OpError{Index: -1, Err: datatree.ErrBadArguments}
}

func (h *header) identities() (ids []datatree.Identity) {
	n := h.uint(MaxIdentities)
	for range n {
		id := datatree.Identity{Scheme: h.string(), ID: h.string()}
		if h.bad {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

func (h *header) string() string {
	n := h.uint(math.MaxInt32)
	if h.bad || n > uint64(len(h.b)) {
		h.bad, h.b = true, nil
		return ""
	}
	s := string(h.b[:n])
	h.b = h.b[n:]
	return s
}

// decidedSession tells what a request to open, to resume or to end a session has led to, by a state that was installed since. For any other it returns the request
// of the tree.
func (s *Znodes) decidedSession(o *Outcome[Result], request []byte) ([]byte, error) {
	if len(request) == 0 || request[0] > requestClose {
		return request, nil
	}
	h := header{b: request[1:]}
	switch request[0] {
	case requestAs:
		if h.identities(); !h.bad {
			return h.b, nil
		}
	case requestCreate:
		o.Session = uint64(o.Zxid)
	case requestResume:
		o.Session = h.uint(math.MaxUint64)
	}
	if o.Session == 0 {
		return nil, nil
	}
	mine, _ := s.sessions.Get(o.Name.Session)
	switch x, ok := s.sessions.Get(o.Session); {
	case !ok:
		return nil, ErrExpired
	case x.Owner != mine.Owner || x.Run != mine.Run:
		return nil, ErrMoved
	default:
		o.Attached, o.Generation, o.Timeout = true, x.Generation, x.Timeout
	}
	return nil, nil
}
