package transport_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/transporttest"
)

func newMemory(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
	n := transport.NewMemory()
	eps := make(map[quorum.ID]transporttest.Endpoint)
	for _, id := range ids {
		eps[id] = transporttest.Endpoint{Transport: n.Peer(id)}
	}
	return eps
}

func TestMemory(t *testing.T) { transporttest.Run(t, newMemory) }

func TestMemoryInBubble(t *testing.T) {
	for _, test := range transporttest.Tests() {
		t.Run(test.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.Run(t, newMemory) })
		})
	}
}

// The suite sends again what does not arrive, so it passes on a bad network too.
func TestMemoryWithLossAndDelay(t *testing.T) {
	bad := func(t testing.TB, ids []quorum.ID) map[quorum.ID]transporttest.Endpoint {
		n := transport.NewMemory()
		n.SetLoss(0.3)
		n.SetDelay(time.Millisecond, 50*time.Millisecond)
		eps := make(map[quorum.ID]transporttest.Endpoint)
		for _, id := range ids {
			eps[id] = transporttest.Endpoint{Transport: n.Peer(id)}
		}
		return eps
	}
	for _, test := range transporttest.Tests() {
		if test.Name == "NoReceiveAfterClose" {
			continue // its senders never wait, so that the time in the bubble would stand still
		}
		t.Run(test.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test.Run(t, bad) })
		})
	}
}

// inbox keeps what an endpoint receives.
type inbox struct {
	mu   sync.Mutex
	got  []string // "from/class/frame"
	lost []quorum.ID
}

func (b *inbox) Receive(from quorum.ID, class transport.Class, frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, strconv.Itoa(int(from))+"/"+class.String()+"/"+string(frame))
}

func (b *inbox) Lost(peer quorum.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = append(b.lost, peer)
}

// settled returns what has been received, and who was lost, since the last time.
func (b *inbox) settled() (got []string, lost []quorum.ID) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	got, lost = b.got, b.lost
	b.got, b.lost = nil, nil
	return got, lost
}

func start(t *testing.T, n *transport.Memory, ids ...quorum.ID) (map[quorum.ID]transport.Transport, map[quorum.ID]*inbox) {
	t.Helper()
	eps, boxes := make(map[quorum.ID]transport.Transport), make(map[quorum.ID]*inbox)
	for _, id := range ids {
		eps[id], boxes[id] = n.Peer(id), new(inbox)
		if err := eps[id].Start(id, boxes[id]); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { eps[id].Close() })
	}
	return eps, boxes
}

func expect(t *testing.T, b *inbox, want ...string) {
	t.Helper()
	if got, _ := b.settled(); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func expectLost(t *testing.T, b *inbox, want ...quorum.ID) {
	t.Helper()
	_, lost := b.settled()
	slices.Sort(lost)
	if !slices.Equal(lost, want) {
		t.Fatalf("lost %v, want %v", lost, want)
	}
}

func TestOneLiveEndpointPerID(t *testing.T) {
	n := transport.NewMemory()
	first, second := n.Peer(1), n.Peer(1)
	if err := first.Start(2, new(inbox)); !errors.Is(err, transport.ErrID) {
		t.Error(err)
	}
	if err := first.Start(1, new(inbox)); err != nil {
		t.Fatal(err)
	}
	if err := first.Start(1, new(inbox)); !errors.Is(err, transport.ErrStarted) {
		t.Error(err)
	}
	if err := second.Start(1, new(inbox)); !errors.Is(err, transport.ErrInUse) {
		t.Error(err)
	}
	first.Close()
	if err := first.Start(1, new(inbox)); !errors.Is(err, transport.ErrClosed) {
		t.Error(err)
	}
	if err := second.Start(1, new(inbox)); err != nil {
		t.Error(err)
	}
	second.Close()
}

func TestOrderWithinClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		eps, boxes := start(t, n, 1, 2)
		var want []string
		for i := range 1000 {
			eps[1].Send(2, transport.Log, []byte(strconv.Itoa(i)))
			want = append(want, "1/log/"+strconv.Itoa(i))
		}
		expect(t, boxes[2], want...)
	})
}

func TestCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		eps, boxes := start(t, n, 1, 2, 3)
		all := func() {
			for from, ep := range eps {
				for to := range eps {
					if from != to {
						ep.Send(to, transport.Log, []byte("x"))
					}
				}
			}
		}
		from := func(id quorum.ID, want ...quorum.ID) {
			t.Helper()
			got, _ := boxes[id].settled()
			var ids []quorum.ID
			for _, s := range got {
				ids = append(ids, quorum.ID(s[0]-'0'))
			}
			slices.Sort(ids)
			if !slices.Equal(ids, want) {
				t.Fatalf("member %d hears %v, want %v", id, ids, want)
			}
		}

		n.Cut(1, 2)
		expectLost(t, boxes[1], 2)
		expectLost(t, boxes[2], 1)
		expectLost(t, boxes[3])
		all()
		from(1, 3)
		from(2, 3)
		from(3, 1, 2)

		n.Heal()
		n.CutOneWay(1, 2)
		expectLost(t, boxes[2])
		all()
		from(1, 2, 3)
		from(2, 3)
		from(3, 1, 2)

		n.Heal()
		n.Partition([]quorum.ID{1, 2})
		expectLost(t, boxes[3], 1, 2)
		expectLost(t, boxes[1], 3)
		all()
		from(1, 2)
		from(2, 1)
		from(3)

		n.Partition([]quorum.ID{1}, []quorum.ID{2, 3}) // in place of the former
		all()
		from(1)
		from(2, 3)
		from(3, 2)

		n.Heal()
		all()
		from(1, 2, 3)
		from(2, 1, 3)
		from(3, 1, 2)
	})
}

// A cut holds for members that are not there yet.
func TestCutBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		n.Partition([]quorum.ID{1}, []quorum.ID{2})
		eps, boxes := start(t, n, 1, 2)
		eps[1].Send(2, transport.Log, []byte("x"))
		expect(t, boxes[2])
	})
}

// A cut loses what is under way, even if it is healed at once.
func TestCutLosesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		n.SetDelay(time.Second, time.Second)
		eps, boxes := start(t, n, 1, 2)
		eps[1].Send(2, transport.Log, []byte("before"))
		n.Cut(1, 2)
		n.Heal()
		eps[1].Send(2, transport.Log, []byte("after"))
		<-time.After(time.Minute)
		expect(t, boxes[2], "1/log/after")
	})
}

func TestCloseIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		eps, boxes := start(t, n, 1, 2, 3)
		n.Cut(1, 3)
		expectLost(t, boxes[3], 1)
		eps[1].Close()
		expectLost(t, boxes[2], 1)
		expectLost(t, boxes[3])
		eps[2].Send(1, transport.Log, []byte("nobody"))
		again, box := start(t, n, 1)
		eps[2].Send(1, transport.Log, []byte("hello"))
		expect(t, box[1], "2/log/hello")
		again[1].Send(2, transport.Control, []byte("hello"))
		expect(t, boxes[2], "1/control/hello")
	})
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		n.SetDelay(10*time.Millisecond, 20*time.Millisecond)
		eps, boxes := start(t, n, 1, 2)
		for i := range 100 {
			eps[1].Send(2, transport.Log, []byte(strconv.Itoa(i)))
		}
		<-time.After(10*time.Millisecond - 1)
		expect(t, boxes[2])
		<-time.After(11 * time.Millisecond)
		got, _ := boxes[2].settled()
		if len(got) != 100 {
			t.Fatalf("%d of 100", len(got))
		}
		if got[0] == "1/log/0" && got[1] == "1/log/1" && got[2] == "1/log/2" && got[3] == "1/log/3" {
			t.Error("nothing was overtaken")
		}
		n.SetDelay(0, 0)
		eps[1].Send(2, transport.Log, []byte("now"))
		expect(t, boxes[2], "1/log/now")
	})
}

func TestLossIsRepeatable(t *testing.T) {
	var runs [2][]string
	for i := range runs {
		synctest.Test(t, func(t *testing.T) {
			n := transport.NewMemory()
			n.SetSeed(42)
			n.SetLoss(0.5)
			eps, boxes := start(t, n, 1, 2)
			for i := range 1000 {
				eps[1].Send(2, transport.Log, []byte(strconv.Itoa(i)))
			}
			runs[i], _ = boxes[2].settled()
		})
	}
	if n := len(runs[0]); n < 400 || n > 600 {
		t.Errorf("%d of 1000 at a loss of 0.5", n)
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("the same seed loses other frames")
	}
}

// blocker holds the delivery up, as no real handler may, so that a queue fills.
type blocker struct {
	hold  chan struct{}
	count int
	bytes int
}

func (b *blocker) Receive(_ quorum.ID, _ transport.Class, frame []byte) {
	<-b.hold
	b.count++
	b.bytes += len(frame)
}
func (b *blocker) Lost(quorum.ID) {}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{0, 1000, transport.MaxFrame} {
			n := transport.NewMemory()
			eps, _ := start(t, n, 1, 3)
			b := &blocker{hold: make(chan struct{})}
			two := n.Peer(2)
			if err := two.Start(2, b); err != nil {
				t.Fatal(err)
			}
			for range 2 * transport.QueueBytes / (size + 64) {
				eps[1].Send(2, transport.Bulk, make([]byte, size))
			}
			eps[3].Send(2, transport.Bulk, make([]byte, size)) // another peer has room of its own
			close(b.hold)
			synctest.Wait()
			if max := transport.QueueBytes + transport.MaxFrame; b.bytes > max || b.count < 15 || (size > 0 && b.bytes < transport.QueueBytes/2) {
				t.Errorf("frames of %d bytes: %d frames, %d bytes", size, b.count, b.bytes)
			}
			was := b.count
			eps[1].Send(2, transport.Bulk, make([]byte, size)) // there is room again
			synctest.Wait()
			if b.count != was+1 {
				t.Error("nothing goes through after the queue was full")
			}
			for _, ep := range eps {
				ep.Close()
			}
			two.Close()
		}
	})
}

// One class does not wait for another.
func TestClassesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		eps, _ := start(t, n, 1)
		hold := make(chan struct{})
		got := make(chan transport.Class, 8)
		two := n.Peer(2)
		if err := two.Start(2, handler(func(_ quorum.ID, c transport.Class, _ []byte) {
			if c == transport.Bulk {
				<-hold
			}
			got <- c
		})); err != nil {
			t.Fatal(err)
		}
		eps[1].Send(2, transport.Bulk, nil)
		eps[1].Send(2, transport.Control, nil)
		if c := <-got; c != transport.Control {
			t.Error(c)
		}
		close(hold)
		if c := <-got; c != transport.Bulk {
			t.Error(c)
		}
		two.Close()
	})
}

type handler func(quorum.ID, transport.Class, []byte)

func (h handler) Receive(from quorum.ID, c transport.Class, f []byte) { h(from, c, f) }
func (h handler) Lost(quorum.ID)                                      {}

// A handler may send, cut and heal from within Receive: no lock is held.
func TestHandlerMayUseNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := transport.NewMemory()
		one, two := n.Peer(1), n.Peer(2)
		done := make(chan struct{})
		one.Start(1, handler(func(quorum.ID, transport.Class, []byte) { close(done) }))
		two.Start(2, handler(func(from quorum.ID, c transport.Class, f []byte) {
			n.Cut(1, 2)
			n.Heal()
			two.Send(from, c, f)
		}))
		one.Send(2, transport.Log, []byte("x"))
		<-done
		one.Close()
		two.Close()
	})
}

func benchmarkSend(b *testing.B, size int) {
	n := transport.NewMemory()
	one, two := n.Peer(1), n.Peer(2)
	room := make(chan struct{}, 4096)
	var sum uint64
	one.Start(1, handler(func(quorum.ID, transport.Class, []byte) {}))
	two.Start(2, handler(func(_ quorum.ID, _ transport.Class, f []byte) {
		sum += binary.BigEndian.Uint64(f)
		<-room
	}))
	window := min(cap(room), transport.QueueBytes/(size+64)-2)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	frame := make([]byte, size)
	for range cap(room) - window {
		room <- struct{}{}
	}
	for b.Loop() {
		room <- struct{}{}
		one.Send(2, transport.Log, frame)
	}
	one.Close()
	two.Close()
}

func BenchmarkMemory100(b *testing.B)  { benchmarkSend(b, 100) }
func BenchmarkMemory10K(b *testing.B)  { benchmarkSend(b, 10<<10) }
func BenchmarkMemory512K(b *testing.B) { benchmarkSend(b, transport.MaxFrame) }
