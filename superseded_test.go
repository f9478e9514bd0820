package ensemble_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

// pausable is a transport that can be taken off the network and put back, unnoticed by its node, as the machine under a process that is paused and moved.
type pausable struct {
	net *transport.Memory
	id  ensemble.ID

	mu      sync.Mutex
	now     transport.Transport
	handler transport.Handler
}

func (p *pausable) on() error {
	t := p.net.Peer(p.id)
	p.mu.Lock()
	p.now = t
	p.mu.Unlock()
	return t.Start(p.id, p.handler)
}

func (p *pausable) off() error { return p.Close() }

func (p *pausable) Start(_ ensemble.ID, h transport.Handler) error {
	p.handler = h
	return p.on()
}

func (p *pausable) SetPeers(map[ensemble.ID]string) {}

func (p *pausable) present() transport.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *pausable) Send(to ensemble.ID, c transport.Class, frame []byte) {
	p.present().Send(to, c, frame)
}

func (p *pausable) Close() error { return p.present().Close() }

// A member is paused and started elsewhere under the same id; then the first process comes back. It must neither hang its callers nor fight with the other.
func TestTwoRunsOfOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		net := transport.NewMemory()
		members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		open := func(id ensemble.ID, tr transport.Transport) *ensemble.Node {
			n, err := ensemble.Open(ctx, ensemble.Config{ID: id, Members: members, Transport: tr, Seed: uint64(id)})
			none(t, err)
			t.Cleanup(func() { n.Close() })
			return n
		}
		way := &pausable{net: net, id: 1}
		elder := open(1, way)
		second, third := open(2, net.Peer(2)), open(3, net.Peer(3))
		for _, n := range []*ensemble.Node{elder, second, third} {
			none(t, n.Ready(ctx))
		}
		_, err := elder.Create(ctx, "/a", nil, 0)
		none(t, err)
		session := elder.Session().ID()

		none(t, way.off())
		handed := elder.Submit(ensemble.CreateOp{Path: "/handed"}) // to nobody who hears it, if it is handed at all
		younger := open(1, net.Peer(1))
		none(t, younger.Ready(ctx))
		_, err = younger.Create(ctx, "/b", nil, 0)
		none(t, err)
		if younger.Session().ID() <= session {
			t.Fatalf("session %x after %x", younger.Session().ID(), session)
		}
		none(t, younger.Close())
		waits := elder.Submit(ensemble.CreateOp{Path: "/waits"})
		none(t, way.on())

		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		for _, p := range []*ensemble.Pending{handed, waits} {
			_, err := p.Wait(limited)
			if !errors.Is(err, ensemble.ErrSessionExpired) || !errors.Is(err, ensemble.ErrSuperseded) || !errors.Is(err, ensemble.ErrClosed) {
				t.Fatalf("a call that waited: %v", err)
			}
		}
		select {
		case <-elder.Done():
		case <-limited.Done():
			t.Fatalf("the elder run goes on: %+v", elder.Status())
		}
		if err := elder.Err(); !errors.Is(err, ensemble.ErrSuperseded) || !errors.Is(err, ensemble.ErrSessionExpired) {
			t.Fatal(err)
		}
		if s := elder.Status(); s.Ready || s.Role != ensemble.Stopped {
			t.Fatalf("%+v", s)
		}
		_, err = elder.Create(ctx, "/c", nil, 0)
		if !errors.Is(err, ensemble.ErrSessionExpired) || errors.Is(err, ensemble.ErrUncertain) {
			t.Fatalf("a call after the end: %v", err)
		}

		// The next run goes on as any other.
		next := open(1, net.Peer(1))
		none(t, next.Ready(ctx))
		_, err = next.Create(ctx, "/d", nil, 0)
		none(t, err)
		if _, found, err := next.Exists(ctx, "/waits"); found || err != nil {
			t.Fatal(found, err)
		}
	})
}

func none(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
