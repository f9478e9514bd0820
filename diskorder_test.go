package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// A power loss before any operation of the disk of a member that is brought up to date with a snapshot leaves a directory that opens, and the member catches
// up. In particular the log never names a snapshot that is not there.
func TestPowerLossAtEachStepOfReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisks(t, nil)
		paths := d.fill(d.nodes[1], "/a", 50, 200)
		d.stopAll()
		d.openAll() // the log goes on in another segment, so that the one before can go
		d.snapshot(1, 2, 3)
		for _, n := range d.nodes {
			n.Close()
		}
		d.openAll() // now the memory of each begins with the snapshot
		id := d.leader()%3 + 1
		d.nodes[id].Close()
		d.disk[id].Wipe()

		type image struct {
			disk *vfs.Memory
			op   string
		}
		var mu sync.Mutex
		var images []image
		whole := d.disk[id]
		whole.SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind != vfs.OpRead {
				mu.Lock()
				images = append(images, image{whole.Clone(), fmt.Sprint(o.Kind, " ", o.Name)})
				mu.Unlock()
			}
			return nil
		})
		n := d.open(id)
		ready(t, n)
		d.has(n, paths)
		whole.SetHook(nil)
		if n.Status().Snapshot == 0 {
			t.Fatal("no snapshot was received")
		}
		n.Close()

		for i, x := range images {
			for seed := range uint64(3) {
				lost := x.disk.Clone()
				lost.PowerLoss(rand.New(rand.NewPCG(uint64(i), seed)))
				d.disk[id] = lost
				n, failed := d.try(id)
				if failed == nil {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					failed = n.Ready(ctx)
					cancel()
					if failed == nil {
						d.has(n, paths)
					}
					n.Close()
				}
				if failed != nil {
					t.Fatalf("power loss %d of %d, before %s (seed %d): %v", i, len(images), x.op, seed, failed)
				}
			}
		}
		if len(images) < 10 {
			t.Fatalf("only %d operations", len(images))
		}
	})
}

func ready(t *testing.T, n *ensemble.Node) {
	t.Helper()
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// lingering is a transport that takes its time to close: what a node has sent before it ended arrives before the news of its end.
type lingering struct{ transport.Transport }

func (l lingering) Close() error {
	<-time.After(time.Second)
	return l.Transport.Close()
}

// One of three is down, and a sync of the log fails at the follower that is left, once. It acknowledges nothing of that, and the leader,
// which alone is no quorum, answers nobody.
func TestFailedSyncIsNoAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		acked := map[ensemble.ID]ensemble.Zxid{} // by the member
		d := newDisks(t, func(c *ensemble.Config) {
			c.Transport = lingering{c.Transport}
			c.Trace = &ensemble.Trace{Acknowledged: func(a ensemble.AckInfo) {
				mu.Lock()
				defer mu.Unlock()
				acked[c.ID] = max(acked[c.ID], a.Zxid)
			}}
		})
		leader := d.leader()
		down, left := leader%3+1, (leader+1)%3+1
		paths := d.fill(d.nodes[leader], "/a", 5, 100)
		d.nodes[down].Close()
		delete(d.nodes, down)
		<-time.After(time.Minute)
		if d.leader() != leader {
			t.Fatal("another leads now")
		}
		before := d.nodes[leader].Status().Logged
		once := make(chan struct{}, 1)
		once <- struct{}{}
		d.disk[left].SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpSync && strings.HasSuffix(o.Name, ".log") {
				select {
				case <-once:
					<-time.After(10 * time.Millisecond) // the leader's own disk is done by then
					return &vfs.Fault{Err: syscall.EIO}
				default:
				}
			}
			return nil
		})
		p := d.nodes[leader].Submit(ensemble.CreateOp{Path: "/x"})
		<-d.nodes[left].Done()
		if why := d.nodes[left].Err(); !errors.Is(why, syscall.EIO) {
			t.Fatal(why)
		}
		mu.Lock()
		said := acked[left]
		mu.Unlock()
		if said > before {
			t.Fatalf("%v was acknowledged, and could not be written: %v was the last that was", said, before)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, answer := p.Wait(ctx); answer == nil {
			t.Fatal("a write was acknowledged that is on one disk of three")
		} else if !errors.Is(answer, ensemble.ErrUncertain) {
			t.Fatal(answer)
		}
		// With the disk mended everything goes on.
		d.kill(left, rand.New(rand.NewPCG(1, 1)))
		d.disk[left].SetHook(nil)
		ready(t, d.open(left))
		d.has(d.nodes[left], paths)
	})
}
