package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// accept is the goroutine that accepts.
func (t *Transport) accept() {
	var pause time.Duration
	for {
		raw, err := t.listener.Accept()
		if t.ctx.Err() != nil {
			if err == nil {
				raw.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			t.say(slog.LevelError, 0, "listener was closed: nobody can connect to this member any more", slog.Any("err", err))
			return
		}
		if err != nil { // no file descriptors, or a connection that is gone already
			t.say(slog.LevelError, 0, "cannot accept", slog.Any("err", err))
			pause = min(max(2*pause, t.limits.first), t.limits.longest)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-t.ctx.Done():
				timer.Stop()
			}
			continue
		}
		pause = 0
		v, crowded := t.gate.enter(raw)
		if crowded {
			t.say(slog.LevelWarn, 0, "too many connections that are not yet authenticated: the oldest are closed", slog.String("from", v.from))
		}
		t.wait.Go(func() {
			defer t.gate.leave(v)
			if err := t.serve(v); err != nil {
				raw.Close()
				t.refused(v, err)
			}
		})
	}
}

// refused tells why an accepted connection was closed.
func (t *Transport) refused(v *visitor, err error) {
	if t.ctx.Err() != nil || v.evicted.Load() {
		return
	}
	from, what := slog.String("from", v.from), slog.Any("err", err)
	var r *refusal
	switch {
	case errors.As(err, &r) && (r.verdict == crossed || r.verdict == stale):
		t.say(slog.LevelDebug, r.known, "connection was overtaken", from, what)
	case errors.As(err, &r):
		t.say(slog.LevelWarn, r.known, "connection refused: "+r.verdict.String(), from, what)
	case errors.Is(err, errSilent), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		t.say(slog.LevelDebug, 0, "connection closed before a word", from, what) // a dial that was given up, a port that is looked at
	default:
		t.say(slog.LevelWarn, 0, "connection refused", from, what)
	}
}

// serve takes one accepted connection as far as its admission.
func (t *Transport) serve(v *visitor) error {
	if err := v.raw.SetDeadline(time.Now().Add(t.limits.handshake)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.limits.handshake)
	defer cancel()
	s, err := t.secure(ctx, v.raw, nil)
	if err != nil {
		return err
	}
	if s.tls != nil {
		v.proven.Store(true)
	}
	var h greeting
	if err := h.read(s.conn()); err != nil {
		return err
	}
	if h.kind != hello {
		return errForeign
	}
	c := newConn(s, h.class)
	a := greeting{version: version, kind: answer, class: h.class, from: t.self, to: h.from, run: t.run}
	var r refusal
	var old *bundle
	switch {
	case h.version < version:
		a.verdict = wrongVersion
	case h.to != t.self || h.from == t.self:
		a.verdict = wrongMember
	default:
		if s.peer != nil {
			r.cause = t.vouches(s.peer, h.from)
		}
		if r.cause != nil {
			a.verdict = impostor
			break
		}
		if s.peer != nil {
			r.known = h.from
		}
		a.verdict, old, a.dial = t.admit(&h, c)
	}
	if old != nil {
		old.bury(errReplaced)
	}
	_, err = s.conn().Write(a.append(nil))
	if a.verdict != admitted {
		r.verdict, r.hello = a.verdict, h
		return &r
	}
	if err != nil {
		c.b.lose(err)
		return err
	}
	c.start(t)
	if h.class == transport.Control {
		t.say(slog.LevelInfo, h.from, "connected", slog.String("from", v.from))
	}
	return nil
}

// refusal is the error of a hello that was understood and not admitted.
type refusal struct {
	verdict verdict
	hello   greeting
	known   quorum.ID // the sender, if it is authentic
	cause   error
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("hello from %d to %d, %v, version %d: %v", r.hello.from, r.hello.to, r.hello.class, r.hello.version, r.verdict)
	if r.cause != nil {
		s += ": " + r.cause.Error()
	}
	return s
}
