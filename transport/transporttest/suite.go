package transporttest

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// Endpoint is one member's transport, not yet started, and the address by which the others reach it.
type Endpoint struct {
	transport.Transport
	Addr string
}

// Network makes an endpoint for each of the ids. Endpoints of different calls have nothing to do with each other. The suite closes them.
type Network = func(t testing.TB, ids []quorum.ID) map[quorum.ID]Endpoint

// Test is one test of the suite.
type Test struct {
	Name string
	Run  func(t testing.TB, newNetwork Network)
}

// Run runs the suite, each test as a subtest, one after the other.
func Run(t *testing.T, newNetwork Network) {
	for _, test := range Tests() {
		t.Run(test.Name, func(t *testing.T) { test.Run(t, newNetwork) })
	}
}

// Tests returns the tests of the suite.
func Tests() []Test {
	return []Test{
		{"Delivery", testDelivery},
		{"LargestFrame", testLargestFrame},
		{"Lending", testLending},
		{"FromIsAuthentic", testAuthentic},
		{"ConcurrentUse", testConcurrentUse},
		{"SetPeers", testSetPeers},
		{"UnknownPeer", testUnknownPeer},
		{"NobodyThere", testNobodyThere},
		{"Start", testStart},
		{"Close", testClose},
		{"NoReceiveAfterClose", testNoReceiveAfterClose},
		{"NoGoroutineLeft", testNoGoroutineLeft},
	}
}

// patience is how long a test waits for what must happen, and pause the time between two attempts. A test that passes never waits for long.
const (
	patience = time.Minute
	pause    = 20 * time.Millisecond
)

// frame makes a frame that says all about itself: checksum, sender, receiver, class, number, and size bytes more.
func frame(from, to quorum.ID, class transport.Class, n uint64, size int) []byte {
	f := make([]byte, header+size)
	binary.BigEndian.PutUint64(f[4:], uint64(from))
	binary.BigEndian.PutUint64(f[12:], uint64(to))
	f[20] = byte(class)
	binary.BigEndian.PutUint64(f[21:], n)
	for i := header; i < len(f); i++ {
		f[i] = byte(uint64(i) * (n + 3))
	}
	binary.BigEndian.PutUint32(f, crc32.ChecksumIEEE(f[4:]))
	return f
}

const header = 29

type key struct {
	from  quorum.ID
	class transport.Class
	n     uint64
}

// member is an endpoint that has been started, and the judge of what it receives.
type member struct {
	t  testing.TB
	id quorum.ID
	Endpoint

	closed atomic.Bool // Close has returned
	mu     sync.Mutex
	got    map[key]int // how often
	news   chan struct{}
}

func (m *member) Receive(from quorum.ID, class transport.Class, f []byte) {
	if m.closed.Load() {
		m.t.Errorf("member %d: Receive after Close", m.id)
		return
	}
	if len(f) < header {
		m.t.Errorf("member %d: frame of %d bytes, nobody has sent that", m.id, len(f))
		return
	}
	sum := binary.BigEndian.Uint32(f)
	if sum != crc32.ChecksumIEEE(f[4:]) {
		m.t.Errorf("member %d: frame of %d bytes has changed on its way", m.id, len(f))
		return
	}
	runtime.Gosched() // whoever writes to it while it is lent has a chance now
	if sum != crc32.ChecksumIEEE(f[4:]) {
		m.t.Errorf("member %d: frame of %d bytes has changed while it was lent", m.id, len(f))
	}
	sender, to := quorum.ID(binary.BigEndian.Uint64(f[4:])), quorum.ID(binary.BigEndian.Uint64(f[12:]))
	if sender != from {
		m.t.Errorf("member %d: frame of member %d is said to be from %d", m.id, sender, from)
	}
	if to != m.id {
		m.t.Errorf("member %d: frame for member %d", m.id, to)
	}
	if c := transport.Class(f[20]); c != class {
		m.t.Errorf("member %d: frame of class %v came as %v", m.id, c, class)
	}
	m.mu.Lock()
	m.got[key{from, class, binary.BigEndian.Uint64(f[21:])}]++
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *member) Lost(quorum.ID) {
	if m.closed.Load() {
		m.t.Errorf("member %d: Lost after Close", m.id)
	}
}

func (m *member) has(k key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[k] > 0
}

func (m *member) shut() {
	if err := m.Close(); err != nil {
		m.t.Errorf("member %d: Close: %v", m.id, err)
	}
	m.closed.Store(true)
}

// open makes a network of n members, not yet started.
func open(t testing.TB, newNetwork Network, n int) []*member {
	t.Helper()
	ids := make([]quorum.ID, n)
	for i := range ids {
		ids[i] = quorum.ID(i + 1)
	}
	eps := newNetwork(t, ids)
	members := make([]*member, n)
	for i, id := range ids {
		ep, ok := eps[id]
		if !ok || ep.Transport == nil {
			t.Fatalf("newNetwork: no endpoint for %d", id)
		}
		members[i] = &member{t: t, id: id, Endpoint: ep, got: make(map[key]int), news: make(chan struct{}, 1)}
		t.Cleanup(members[i].shut)
	}
	return members
}

func addresses(members []*member) map[quorum.ID]string {
	addrs := make(map[quorum.ID]string)
	for _, m := range members {
		addrs[m.id] = m.Addr
	}
	return addrs
}

func (m *member) start(peers map[quorum.ID]string) {
	m.t.Helper()
	if err := m.Start(m.id, m); err != nil {
		m.t.Fatalf("member %d: Start: %v", m.id, err)
	}
	m.SetPeers(maps.Clone(peers))
}

func startAll(t testing.TB, newNetwork Network, n int) []*member {
	t.Helper()
	members := open(t, newNetwork, n)
	for _, m := range members {
		m.start(addresses(members))
	}
	return members
}

// until sends f, again and again if need be, until it has arrived.
func (m *member) until(to *member, class transport.Class, n uint64, size int) {
	m.t.Helper()
	f := frame(m.id, to.id, class, n, size)
	m.Send(to.id, class, f)
	if m.arrives(to, class, n, f) {
		return
	}
	m.t.Fatalf("frame %d of %d bytes, class %v, from %d to %d does not arrive", n, len(f), class, m.id, to.id)
}

// arrives waits for a frame that was sent, and repeats it.
func (m *member) arrives(to *member, class transport.Class, n uint64, f []byte) bool {
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(pause)
	defer again.Stop()
	for !to.has(key{m.id, class, n}) {
		select {
		case <-to.news:
		case <-again.C:
			m.Send(to.id, class, f)
		case <-end.C:
			return to.has(key{m.id, class, n})
		}
	}
	return true
}

func classes(do func(transport.Class)) {
	for c := range transport.Class(transport.Classes) {
		do(c)
	}
}

func testDelivery(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 3)
	n := uint64(0)
	for _, a := range members {
		for _, b := range members {
			if a == b {
				continue
			}
			classes(func(c transport.Class) {
				for _, size := range []int{0, 1, 1000, 100_000} {
					n++
					a.until(b, c, n, size)
				}
			})
		}
	}
}

func testLargestFrame(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 2)
	classes(func(c transport.Class) {
		members[0].until(members[1], c, 1, transport.MaxFrame-header)
		members[1].until(members[0], c, 1, transport.MaxFrame-header-1)
	})
}

func testLending(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 2)
	a, b := members[0], members[1]
	buf := make([]byte, 0, transport.MaxFrame)
	for n := range uint64(300) {
		f := append(buf[:0], frame(a.id, b.id, transport.Log, n, int(n*n)%70_000)...)
		sum := crc32.ChecksumIEEE(f)
		a.Send(b.id, transport.Log, f)
		if crc32.ChecksumIEEE(f) != sum {
			t.Fatal("Send has changed the frame")
		}
		for i := range f { // it is ours again: the transport must not look at it any more
			f[i] = 0xee
		}
	}
	for n := range uint64(300) {
		if !a.arrives(b, transport.Log, n, frame(a.id, b.id, transport.Log, n, int(n*n)%70_000)) {
			t.Fatalf("frame %d does not arrive", n)
		}
	}
}

func testAuthentic(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 5)
	var wait sync.WaitGroup
	for _, a := range members {
		wait.Go(func() {
			for n := range uint64(50) {
				for _, b := range members {
					if a != b {
						a.Send(b.id, transport.Class(n%transport.Classes), frame(a.id, b.id, transport.Class(n%transport.Classes), n, int(n)))
					}
				}
			}
		})
	}
	wait.Wait()
	for _, a := range members {
		for _, b := range members {
			if a != b {
				a.until(b, transport.Control, 1000, 10)
			}
		}
	}
}

func testConcurrentUse(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 2)
	a, b := members[0], members[1]
	a.until(b, transport.Log, 0, 0)
	const senders, each = 8, 100
	var wait sync.WaitGroup
	for s := range uint64(senders) {
		wait.Go(func() {
			for n := range uint64(each) {
				c := transport.Class((s + n) % transport.Classes)
				a.Send(b.id, c, frame(a.id, b.id, c, 1+s*each+n, int(n*37)%4000))
			}
		})
	}
	wait.Go(func() {
		for range 50 {
			a.SetPeers(addresses(members))
		}
	})
	wait.Wait()
	for s := range uint64(senders) {
		for n := range uint64(each) {
			c := transport.Class((s + n) % transport.Classes)
			f := frame(a.id, b.id, c, 1+s*each+n, int(n*37)%4000)
			if !a.arrives(b, c, 1+s*each+n, f) {
				t.Fatalf("frame %d of sender %d does not arrive", n, s)
			}
		}
	}
	// And all at once with Close.
	for range senders {
		wait.Go(func() {
			for n := range uint64(each) {
				a.Send(b.id, transport.Bulk, frame(a.id, b.id, transport.Bulk, n, 1000))
				b.Send(a.id, transport.Log, frame(b.id, a.id, transport.Log, n, 1000))
			}
		})
	}
	wait.Go(b.shut)
	wait.Go(func() {
		for range 50 {
			b.SetPeers(addresses(members))
		}
	})
	wait.Wait()
}

func testSetPeers(t testing.TB, newNetwork Network) {
	members := startAll(t, newNetwork, 3)
	a, b, c := members[0], members[1], members[2]
	a.until(b, transport.Log, 1, 10)
	a.SetPeers(map[quorum.ID]string{a.id: a.Addr, c.id: c.Addr}) // b is gone
	a.until(c, transport.Log, 2, 10)
	a.SetPeers(addresses(members)) // and comes back
	a.until(b, transport.Log, 3, 10)
	b.until(a, transport.Log, 4, 10)
	a.SetPeers(addresses(members)) // nothing is new
	a.until(b, transport.Log, 5, 10)
}

// A joiner knows the members before they know it.
func testUnknownPeer(t testing.TB, newNetwork Network) {
	members := open(t, newNetwork, 2)
	joiner, old := members[0], members[1]
	old.start(map[quorum.ID]string{old.id: old.Addr})
	joiner.start(addresses(members))
	classes(func(c transport.Class) {
		joiner.until(old, c, 1, 100)
		old.until(joiner, c, 1, 100)
	})
}

func testNobodyThere(t testing.TB, newNetwork Network) {
	members := open(t, newNetwork, 3)
	a, b, gone := members[0], members[1], members[2]
	a.start(addresses(members))
	b.start(addresses(members))
	gone.start(addresses(members))
	a.until(gone, transport.Log, 1, 10)
	gone.shut()
	// More than any transport holds, to one that has gone and to one that never was: Send neither blocks nor fails.
	for n := range uint64(64) {
		a.Send(gone.id, transport.Bulk, frame(a.id, gone.id, transport.Bulk, n, transport.MaxFrame-header))
		a.Send(99, transport.Bulk, frame(a.id, 99, transport.Bulk, n, transport.MaxFrame-header))
	}
	a.until(b, transport.Bulk, 1, 10) // and the others are served
}

func testStart(t testing.TB, newNetwork Network) {
	members := open(t, newNetwork, 2)
	a, b := members[0], members[1]
	a.Send(b.id, transport.Log, frame(a.id, b.id, transport.Log, 1, 10)) // does nothing
	a.start(addresses(members))
	for _, self := range []quorum.ID{a.id, b.id} {
		other := &member{t: t, id: a.id, got: make(map[key]int), news: make(chan struct{}, 1)}
		other.closed.Store(true) // it is to hear nothing
		if err := a.Start(self, other); !errors.Is(err, transport.ErrStarted) {
			t.Errorf("a second Start, as member %d: %v", self, err)
		}
	}
	b.start(addresses(members))
	b.until(a, transport.Log, 1, 10) // the first goes on
	a.until(b, transport.Log, 2, 10)
	b.shut()
	if err := b.Start(b.id, b); err == nil {
		t.Error("Start after Close succeeds")
	}
}

func testClose(t testing.TB, newNetwork Network) {
	members := open(t, newNetwork, 3)
	a, b, c := members[0], members[1], members[2]
	c.shut() // before Start
	c.shut()
	a.start(addresses(members))
	b.start(addresses(members))
	a.until(b, transport.Control, 1, 0)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wait.Wait()
	a.closed.Store(true)
	a.Send(b.id, transport.Control, frame(a.id, b.id, transport.Control, 2, 0)) // does nothing
	a.SetPeers(addresses(members))
	b.Send(a.id, transport.Control, frame(b.id, a.id, transport.Control, 3, 0))
	if b.has(key{a.id, transport.Control, 2}) {
		t.Error("Send after Close sends")
	}
}

func testNoReceiveAfterClose(t testing.TB, newNetwork Network) {
	for range 5 {
		members := startAll(t, newNetwork, 3)
		target := members[0]
		for _, m := range members[1:] {
			m.until(target, transport.Log, 0, 0)
		}
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for _, m := range members[1:] {
			wait.Go(func() {
				for n := uint64(1); ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					c := transport.Class(n % transport.Classes)
					m.Send(target.id, c, frame(m.id, target.id, c, n, 500))
				}
			})
		}
		end := time.NewTimer(patience)
		for range 3 {
			select {
			case <-target.news:
			case <-end.C:
				t.Error("nothing arrives")
			}
		}
		end.Stop()
		target.shut() // in the middle of it; Receive judges
		close(stop)
		wait.Wait()
		for _, m := range members {
			m.shut()
		}
	}
}

func testNoGoroutineLeft(t testing.TB, newNetwork Network) {
	before := runtime.NumGoroutine()
	members := startAll(t, newNetwork, 3)
	for _, a := range members {
		for _, b := range members {
			if a != b {
				a.until(b, transport.Log, 1, 1000)
			}
		}
	}
	for _, m := range members {
		m.shut()
	}
	// Close has waited for them, but a goroutine that has said its last word may not be gone yet.
	end := time.NewTimer(5 * time.Second)
	defer end.Stop()
	look := time.NewTicker(pause)
	defer look.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-end.C:
			buf := make([]byte, 64<<10)
			t.Fatalf("%d goroutines more than before\n%s", runtime.NumGoroutine()-before, buf[:runtime.Stack(buf, true)])
		}
	}
}
