package ensemble

import (
	"errors"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/transport"
)

// The last Output of a node that fails has answers of two kinds: what was decided before it failed is as certain as ever, and what was only
// under way is not.
func TestAnswersOfAFailingNode(t *testing.T) {
	disk := errors.New("disk")
	for name, x := range map[string]struct {
		reply core.Reply[core.Result]
		is    []error
		not   []error
	}{
		"decided":   {core.Reply[core.Result]{Zxid: 7, Err: ErrNodeExists}, []error{ErrNodeExists}, []error{ErrUncertain, ErrClosed}},
		"done":      {core.Reply[core.Result]{Zxid: 7}, []error{nil}, nil},
		"under way": {core.Reply[core.Result]{Err: errors.Join(disk, core.ErrUncertain)}, []error{ErrUncertain, ErrClosed, disk}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{}
			h.failed = disk
			c := h.borrow(write)
			c.payload = make([]byte, 10)
			if calls, bytes := h.inFlight.join(c); calls != 1 || bytes != 10 {
				t.Fatal(calls, bytes)
			}
			c.begin = time.Now()
			c.state.Store(handed)
			x.reply.Ticket = h.slots.put(c)
			h.answer([]core.Reply[core.Result]{x.reply})
			<-c.done
			for _, want := range x.is {
				if !errors.Is(c.err, want) {
					t.Errorf("%v, want %v", c.err, want)
				}
			}
			for _, no := range x.not {
				if errors.Is(c.err, no) {
					t.Errorf("%v is %v", c.err, no)
				}
			}
			if h.inFlight.word.Load() != 0 {
				t.Error("still in flight")
			}
		})
	}
}

// A message that the link does not take ends the stream, and the machine knows it: what follows in the stream would rely on what never came.
func TestMessageNotTakenEndsTheStream(t *testing.T) {
	cfg := Config{ID: 1, Members: []Member{{ID: 1}, {ID: 2}}, Transport: transport.NewMemory().Peer(1)}
	h, err := newHost(t.Context(), cfg.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	p := &h.links[0]
	up := func(most int) {
		t.Helper()
		p.link = link.New(link.Config{Self: 1, MaxMessage: most, Nonce: randomNonce}, 2)
		peer := link.New(link.Config{Self: 2, Nonce: randomNonce}, 1)
		p.link.Open(&p.in)
		for len(p.in.Frames) > 0 && !p.in.Up {
			var out link.Output
			for _, f := range p.in.Frames {
				peer.Receive(f.Class, f.Bytes, &out)
			}
			p.in.Clear()
			for _, f := range out.Frames {
				p.link.Receive(f.Class, f.Bytes, &p.in)
			}
		}
		if !p.in.Up {
			t.Fatal("no stream")
		}
		h.linkDone(p) // the machine greets the peer
		h.settle()
	}
	up(0)
	if !p.link.Up() || !h.m.Status().Peers[0].Linked {
		t.Fatal("the link is down, and nothing was refused")
	}
	up(1)
	if p.link.Up() || h.m.Status().Peers[0].Linked {
		t.Error("the stream goes on without its first message")
	}
}

// A member that learns that its state is wrong refuses reads and says so, and View still shows that state.
func TestViewOfAnImpairedMember(t *testing.T) {
	cfg := Config{ID: 1, Members: []Member{{ID: 1}, {ID: 2}}, Transport: transport.NewMemory().Peer(1)}
	h, err := newHost(t.Context(), cfg.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{client{h: h}}
	before := n.View()
	for _, x := range []struct {
		status core.Status
		is     error
	}{{core.Status{Ready: true}, nil}, {core.Status{Reason: core.Impaired}, ErrImpaired}, {core.Status{Ready: true}, nil}} {
		h.statusChanged(x.status)
		_, _, err := n.Exists(t.Context(), "/")
		if !errors.Is(err, x.is) || (n.Status().Reason == Impaired) != (x.is != nil) {
			t.Fatalf("%v, want %v: %+v", err, x.is, n.Status())
		}
		if v := n.View(); v.Zxid() != before.Zxid() || v.Digest() != before.Digest() || v.Len() != before.Len() {
			t.Errorf("the tree is another one: %v, not %v", v.Zxid(), before.Zxid())
		}
	}
}
