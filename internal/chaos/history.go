package main

import (
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
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
	return o.Outcome == unknown && len(o.Parts) == 1 && o.Parts[0].Verb == verbDelete
}

// history is all operations of a run, in the order in which they ended.
type history struct {
	begin time.Time

	mu    sync.Mutex
	ops   []*op
	acked int // writes
}

func (h *history) now() int64 { return int64(time.Since(h.begin)) }

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
	o = &op{Client: client, Member: m, Parts: parts, Call: h.now()}
	a, err := k.call(request{Parts: parts, Timeout: timeout})
	o.Return, o.reply = h.now(), a
	if err != nil {
		o.reply = reply{Outcome: unknown, Error: err.Error()}
	}
	h.add(o)
	return o, err == nil
}
