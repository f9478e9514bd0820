package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/transport"
)

// keep is the goroutine that dials a member whenever there is no bundle.
func (p *peer) keep() {
	t := p.t
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var pause time.Duration // the last one, before jitter
	due := time.Now()
	for {
		t.mu.Lock()
		if !p.member || t.state != started {
			p.kept = false
			t.mu.Unlock()
			return
		}
		addr, idle := p.addr, p.bundle == nil && p.addr != ""
		if p.news {
			p.news, pause, due = false, 0, time.Now()
		}
		t.mu.Unlock()
		if !idle {
			timer.Stop()
		} else if rest := time.Until(due); rest > 0 {
			timer.Reset(rest)
		} else {
			err := p.connect(addr)
			pause = min(max(2*pause, t.limits.first), t.limits.longest)
			due = time.Now().Add(pause/2 + rand.N(pause/2+1))
			if err != nil && !errors.Is(err, errCrossed) {
				if p.failed() {
					due = time.Now().Add(2 * t.limits.longest)
				}
				t.say(slog.LevelWarn, p.id, "cannot connect", slog.String("addr", addr), slog.Any("err", err))
			}
			continue
		}
		select {
		case <-p.wake:
		case <-timer.C:
		case <-t.ctx.Done():
		}
	}
}

// failed drops what waited for a dial that has failed. It reports whether that dial had refused the peer's own.
func (p *peer) failed() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.bundle != nil {
		return false
	}
	p.clear()
	was := p.crossed
	p.crossed = false
	return was
}

// connect makes one attempt at a bundle.
func (p *peer) connect(addr string) error {
	t := p.t
	ctx, cancel := context.WithTimeout(t.ctx, t.limits.handshake)
	defer cancel()
	d := &dial{cancel: cancel}
	t.mu.Lock()
	if p.bundle != nil || p.addr != addr || t.state != started {
		t.mu.Unlock()
		return errCrossed
	}
	p.dial = d
	t.mu.Unlock()
	b, err := p.attempt(ctx, d, addr)
	if err != nil {
		t.mu.Lock()
		if p.dial == d {
			p.dial = nil
		} else {
			err = errCrossed // whatever else it looks like
		}
		t.mu.Unlock()
		return err
	}
	errs := make([]error, transport.Classes)
	var wait sync.WaitGroup
	for class := transport.Log; class < transport.Classes; class++ {
		wait.Go(func() {
			if errs[class] = p.extend(ctx, b, addr, class); errs[class] != nil {
				b.lose(errs[class]) // the others need not go on
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	t.say(slog.LevelInfo, p.id, "connected", slog.String("addr", addr))
	return nil
}

// attempt opens the Control connection.
func (p *peer) attempt(ctx context.Context, d *dial, addr string) (*bundle, error) {
	t := p.t
	s, err := p.open(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer s.watch(ctx)()
	if err := p.commit(d); err != nil {
		s.raw.Close()
		return nil, err
	}
	g, err := p.greet(s, transport.Control, d.number)
	c := newConn(s, transport.Control)
	if err == nil {
		err = p.won(d, c, run{g.run, g.dial})
	}
	if err != nil {
		s.raw.Close()
		return nil, err
	}
	c.start(t)
	return c.b, nil
}

// extend opens another connection of the bundle.
func (p *peer) extend(ctx context.Context, b *bundle, addr string, class transport.Class) error {
	s, err := p.open(ctx, addr)
	if err != nil {
		return err
	}
	defer s.watch(ctx)()
	_, err = p.greet(s, class, b.name.dial)
	c := newConn(s, class)
	if err == nil {
		err = b.attach(c)
	}
	if err != nil {
		s.raw.Close()
		return err
	}
	c.start(p.t)
	return nil
}

// open dials and authenticates.
func (p *peer) open(ctx context.Context, addr string) (*stream, error) {
	t := p.t
	raw, err := t.cfg.Dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err = raw.SetDeadline(deadline); err == nil {
		host, _, _ := net.SplitHostPort(addr)
		var s *stream
		if s, err = t.secure(ctx, raw, &server{host, p.id}); err == nil {
			return s, nil
		}
	}
	raw.Close()
	return nil, err
}

// watch closes the stream when ctx ends before the returned function is called.
func (s *stream) watch(ctx context.Context) (end func()) {
	stop := context.AfterFunc(ctx, func() { s.raw.Close() })
	return func() { stop() }
}

// greet says hello and returns the answer, if that admits us.
func (p *peer) greet(s *stream, class transport.Class, number uint64) (*greeting, error) {
	t := p.t
	h := greeting{version: version, kind: hello, class: class, from: t.self, to: p.id, run: t.run, dial: number}
	if _, err := s.conn().Write(h.append(nil)); err != nil {
		return nil, err
	}
	var a greeting
	if err := a.read(s.conn()); err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	switch {
	case a.kind != answer || a.class != class || a.to != t.self:
		return nil, fmt.Errorf("%w: not an answer to our hello", errForeign)
	case a.verdict == crossed || a.verdict == stale:
		return nil, fmt.Errorf("%w (%v)", errCrossed, a.verdict)
	case a.verdict != admitted:
		return nil, fmt.Errorf("refused by the peer: %v", a.verdict)
	case a.from != p.id:
		return nil, fmt.Errorf("answered by member %d", a.from)
	case a.version != version:
		return nil, fmt.Errorf("the peer chose version %d", a.version)
	}
	return &a, nil
}
