package main

import (
	"slices"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

// op is what a client asked for and what it was told.
type op struct {
	Client int
	Member ensemble.ID
	Parts  []part
	Call   int64 // nanoseconds since the run began
	Return int64
	reply
}

func (o *op) read() bool { return o.Parts[0].Verb == verbGet }

// untoldDelete says that it is a delete, alone, whose outcome is not known.
func (o *op) untoldDelete() bool {
	return o.Outcome == unknown && !o.named() && len(o.Parts) == 1 && o.Parts[0].Verb == verbDelete
}

// history is all operations of a run, in the order in which they ended.
type history struct {
	begin int64 // monotonic

	mu    sync.Mutex
	ops   []*op
	acked int // writes
	lives
}

// lives is what else is known of sessions.
type lives struct {
	attempts []*attempt
	holds    []*hold
	pauses   []span // SIGSTOP to SIGCONT
	held     []span // what members send may arrive only at their end
	ends     []end
	events   []event
	until    int64 // how long was watched
}

// attempt is one to open a session or, with Session, to resume it.
type attempt struct {
	Session    uint64
	Wrong      bool // it was made with another password
	Killed     bool // the member that served it was killed
	Outcome    outcome
	Expired    bool // that is why it was refused
	Opened     uint64
	Generation uint32
	Lasts      time.Duration
	Alive      int64
}

// hold is a time in which a session believed to hold the lock: from From, when its Context had not ended, until To, unless the Context or the process ended before.
type hold struct {
	Session    uint64
	Generation uint32
	Member     ensemble.ID
	Token      ensemble.Zxid
	From, To   int64 // monotonic; To is 0 if it did not let go
}

// span is a time during which a process was stopped.
type span struct {
	Member   ensemble.ID
	From, To int64
}

func (h *history) now() int64 { return monotonic() - h.begin }

func (h *history) note(do func(*lives)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do(&h.lives)
}

func (h *history) add(o *op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
	if o.Outcome == done && !o.read() {
		h.acked++
	}
}

func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acked
}

// call lets a member carry out parts, over k, and notes what came of it. ok says whether k is still good.
func (h *history) call(k *conn, client int, m ensemble.ID, timeout time.Duration, parts ...part) (o *op, ok bool) {
	return h.callOn(k, client, m, request{Parts: parts, Timeout: timeout}, core.Name{})
}

// callOn is call for any request. The next name is that of the call if no answer comes and it was handed over all the same.
func (h *history) callOn(k *conn, client int, m ensemble.ID, r request, next core.Name) (o *op, ok bool) {
	o = &op{Client: client, Member: m, Parts: slices.Clip(r.Parts), Call: h.now()}
	a, err := k.call(r)
	o.Return, o.reply = h.now(), a
	if err != nil {
		o.reply = reply{Outcome: unknown, Error: err.Error()}
		if next.Session != 0 {
			o.On = &served{Session: next.Session, Name: next}
		}
	}
	h.add(o)
	return o, err == nil
}

// named says that it was made on a client's session, and handed over, unless that is unknown, too.
func (o *op) named() bool { return o.On != nil && o.On.Name.Sequence > 0 }
