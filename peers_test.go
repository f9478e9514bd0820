package ensemble_test

import (
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/transport"
)

// rude is a member that makes streams as it should, and says in each of them, at once, what is no message.
type rude struct {
	mu      sync.Mutex
	tr      transport.Transport
	link    *link.Link
	streams int
	most    int // then it keeps still: a test that fails should end
}

func (r *rude) Lost(ensemble.ID) {}

func (r *rude) Receive(_ ensemble.ID, class transport.Class, frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out link.Output
	r.link.Receive(link.Class(class), frame, &out)
	r.carryOut(&out)
}

func (r *rude) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out link.Output
	r.link.Tick(&out)
	r.carryOut(&out)
}

func (r *rude) carryOut(out *link.Output) {
	if out.Up && r.streams < r.most {
		r.streams++
		r.link.Send(link.Log, []byte("what is this?"), out)
	}
	if out.Reset && !out.Up {
		r.link.Open(out)
	}
	for _, f := range out.Frames {
		r.tr.Send(1, transport.Class(f.Class), f.Bytes)
	}
}

// A peer that says nothing but nonsense is listened to ever more seldom, however fast it opens the next stream.
func TestNonsenseIsNotHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewMemory()
		members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
		r := &rude{tr: net.Peer(2), most: 5000}
		r.link = link.New(link.Config{Self: 2, Nonce: func() (n link.Nonce) { rand.Read(n[:]); return n }}, 1)
		if err := r.tr.Start(2, r); err != nil {
			t.Fatal(err)
		}
		defer r.tr.Close()
		for _, id := range []ensemble.ID{1, 3} {
			n, err := ensemble.Open(t.Context(), ensemble.Config{ID: id, Members: members, Transport: net.Peer(id)})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
		}
		const minutes = 2
		for range minutes * 60 * 20 {
			r.tick()
			<-time.After(50 * time.Millisecond)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if most := minutes*60*20/32 + 10; r.streams < 10 || r.streams > most {
			t.Errorf("%d streams in %d minutes, want 10 to %d", r.streams, minutes, most)
		}
	})
}
