package ensemble

import (
	"errors"
	"fmt"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/wire"
	"github.com/ensemble-go/ensemble/zab"
)

// settle carries out all that the drain has led to.
func (h *host) settle() {
	for {
		if h.writer == nil && h.issued > h.persisted && h.failed == nil {
			h.persisted = h.issued
			h.step(&core.Persisted{Upto: h.persisted})
			continue
		}
		h.carryOut()
		if h.mend() {
			continue
		}
		if h.core.Ensemble != h.ensemble {
			h.ensemble = h.core.Ensemble
			h.cfg.Logger.Info("ensemble: belongs to an ensemble", "member", h.cfg.ID, "ensemble", fmt.Sprintf("%x", h.core.Ensemble))
			for i := range h.links {
				h.links[i].link.SetEnsemble(h.core.Ensemble, &h.links[i].in)
				h.linkDone(&h.links[i])
			}
			continue
		}
		if h.writer != nil || h.issued == h.persisted || h.failed != nil {
			return
		}
	}
}

// mend ends the streams that lack a message: then the machine knows that it did not arrive.
func (h *host) mend() (mended bool) {
	for i := range h.links {
		if p := &h.links[i]; p.broken {
			p.broken, mended = false, true
			p.link.Fault(&p.in)
			h.linkDone(p)
		}
	}
	return mended
}

// carryOut does what the Output says: state, then status, then messages and answers.
func (h *host) carryOut() {
	o := &h.out
	if n := len(o.Writes); n > 0 {
		h.logged(o)
		if h.writer != nil {
			h.hand(o.Writes)
		}
	}
	h.committed()
	h.grown += o.Grown
	if o.Published {
		h.tree.Store(o.State)
		h.sessions.Store(int64(h.sm.Sessions()))
		if z := o.State.Zxid(); z != h.applied {
			h.applied = z
			h.waiters.wake(z)
			if h.cfg.Trace.Applied != nil {
				h.cfg.Trace.Applied(AppliedInfo{z, o.State.Len()})
			}
		}
	}
	if h.cfg.Trace.SessionEnded != nil {
		for _, e := range o.SessionsEnded {
			h.cfg.Trace.SessionEnded(SessionEndInfo{SessionID(e.Session), e.Zxid})
		}
	}
	h.sessionNews(o.News)
	if o.Changed {
		h.statusChanged(o.Status)
	}
	h.send(o.Sends)
	h.answer(o.Replies)
	h.watches.ring()
	for _, r := range o.Reads {
		h.recall(r)
	}
	h.takeIn(o.Pieces)
	h.more = h.more || o.More
	o.Reset()
}

// committed tells the trace how far the committed position has moved.
func (h *host) committed() {
	if h.cfg.Trace.Committed == nil {
		return
	}
	if z := h.m.Zab().Committed(); z > h.toldCommitted {
		h.toldCommitted = z
		h.cfg.Trace.Committed(CommitInfo{z})
	}
}

func (h *host) logged(o *output) {
	info := LogInfo{}
	for i := range o.Writes {
		if r := &o.Writes[i]; r.Kind == zab.RecordEntry {
			if info.Entries == 0 {
				info.First = r.Entry.Zxid
			}
			info.Last = r.Entry.Zxid
			info.Entries++
			info.Bytes += len(r.Entry.Data)
		}
	}
	if info.Entries == 0 {
		return
	}
	h.stats.logged.Add(uint64(info.Entries))
	if h.cfg.Trace.Proposed != nil {
		h.cfg.Trace.Proposed(info)
	}
	switch {
	case h.cfg.Trace.Persisted == nil:
	case h.writer == nil:
		h.cfg.Trace.Persisted(info)
	default:
		h.unproven = append(h.unproven, logged{o.LastWrite, info})
	}
}

// logged is what the trace will be told of writes up to id.
type logged struct {
	id   zab.WriteID
	info LogInfo
}

// hand gives writes to the writer.
func (h *host) hand(writes []zab.Record) {
	for i := range writes {
		r := &writes[i]
		h.places.Note(r)
		if r.Kind == zab.RecordReset {
			h.grown = 0
		}
	}
	h.writer.put(writes)
}

// persist steps what the writer has to tell.
func (h *host) persist() {
	if h.writer == nil {
		return
	}
	upto, err := h.writer.news()
	if upto > h.persisted {
		h.persisted = upto
		h.step(&core.Persisted{Upto: upto})
		n := 0
		for n < len(h.unproven) && h.unproven[n].id <= upto {
			h.cfg.Trace.Persisted(h.unproven[n].info)
			n++
		}
		h.unproven = append(h.unproven[:0], h.unproven[n:]...)
	}
	if err != nil {
		h.step(&core.Failed{Err: err})
	}
}

func (h *host) send(sends []core.Send) {
	for i := range sends {
		s := &sends[i]
		p := h.peer(s.To)
		if p == nil || p.cutting || p.broken || !p.link.Up() {
			continue
		}
		b, err := wire.Append(h.buf[:0], s.Message)
		if err != nil {
			h.failed = errors.Join(h.failed, fmt.Errorf("ensemble: encoding: %w", err))
			return
		}
		h.buf = b
		if err := p.link.Send(link.Class(s.Class), b, &h.sending); err != nil {
			h.cfg.Logger.Error("ensemble: message not sent", "member", h.cfg.ID, "peer", p.id, "bytes", len(b), "err", err)
			p.broken = true // what follows in the stream relies on it
			continue
		}
		for _, f := range h.sending.Frames {
			h.transmit(p.id, f)
		}
		h.sending.Clear()
		if a, ok := s.Message.(*zab.Ack); ok && h.cfg.Trace.Acknowledged != nil {
			h.cfg.Trace.Acknowledged(AckInfo{p.id, a.Zxid})
		}
	}
	if cap(h.buf) > 1<<20 {
		h.buf = nil
	}
}

// answer gives replies to their callers.
func (h *host) answer(replies []core.Reply[core.Result]) {
	if len(replies) == 0 {
		return
	}
	now := time.Now()
	h.stats.replies.Add(uint64(len(replies))) // before any caller can look
	for i := range replies {
		r := &replies[i]
		c := h.slots.take(r.Ticket)
		if c == nil {
			continue
		}
		h.stats.latency.add(now.Sub(c.begin))
		c.result, c.zxid, c.err = r.Result, r.Zxid, r.Err
		if r.Err != nil {
			h.stats.refused.Add(1)
			c.err = h.errorOf(c, r)
		}
		h.inFlight.leave(c)
		if c.kept {
			c.payload = nil // whoever keeps the answer need not keep the request
		}
		if c.kind == reap {
			h.reaped(r.Err)
		}
		if c.claim() {
			c.signal()
		} else if c.kind == opening && c.s != nil && !mutant.On("session-orphaned") {
			h.orphaned(c)
		}
	}
}

// errorOf makes the core's error the caller's.
func (h *host) errorOf(c *call, r *core.Reply[core.Result]) error {
	switch err := r.Err; {
	case h.failed == nil, r.Zxid != 0: // a refusal that was decided and applied: the end of this node changes nothing of it
		return err
	case errors.Is(err, ErrOverloaded), errors.Is(err, ErrSessionMoved), errors.Is(err, ErrSessionExpired), errors.Is(err, ErrNotLeading):
		return err
	}
	return c.ended(h.failed)
}

// ended is the error of a call that the end of the node leaves without an answer.
func (c *call) ended(why error) error {
	err := error(ErrClosed)
	if why != nil {
		err = errors.Join(err, why)
	}
	if (c.kind == write || c.kind == opening) && c.state.Load() != waiting {
		err = errors.Join(err, ErrUncertain)
	}
	return err
}
