package link

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

// world is two members and a network that does as it likes. It knows what was sent in each stream, and holds what is
// delivered against it.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	sides  [2]*side
	flight []packet // not yet delivered, in order of sending
	record []packet // everything ever sent
	sent   map[stream]*[Classes][][]byte
	quiet  bool // no reset may happen
	trace  []string
	worst  int // ticks from healing to a stream
}

type stream struct{ mine, theirs Nonce } // as the sender has it

type packet struct {
	to    int
	class Class
	bytes []byte
}

type side struct {
	i       int
	link    *Link
	out     Output
	up      bool
	streams map[stream]bool
	born    uint64          // counts our streams, over all incarnations
	newest  uint64          // the peer's born, of the newest stream that delivered
	got     [Classes]int    // delivered in this stream
	next    [Classes]uint64 // control: least index that may come
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), sent: make(map[stream]*[Classes][][]byte)}
	for i := range w.sides {
		w.sides[i] = &side{i: i, streams: make(map[stream]bool)}
		w.restart(i)
	}
	return w
}

func (w *world) log(format string, args ...any) {
	if len(w.trace) > 60 {
		w.trace = w.trace[20:]
	}
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, s := range w.trace {
		w.t.Log(s)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) nonce() (n Nonce) {
	binary.BigEndian.PutUint64(n[:], w.rng.Uint64())
	binary.BigEndian.PutUint64(n[8:], w.rng.Uint64())
	return n
}

func (w *world) restart(i int) {
	w.log("restart %d", i)
	s := w.sides[i]
	s.link = New(Config{Self: quorum.ID(i + 1), Name: "w", StallTicks: 10, MaxMessage: 4096, Nonce: w.nonce}, quorum.ID(2-i))
	s.link.frame = 128
	s.up = false
	s.link.Open(&s.out)
	w.settle(s)
}

// settle carries out what the link wants and judges what it delivers.
func (w *world) settle(s *side) {
	w.t.Helper()
	o := &s.out
	l := s.link
	if o.Err != nil {
		w.fail("side %d: %v", s.i, o.Err)
	}
	if o.Reset {
		w.log("  side %d: reset", s.i)
		if !s.up && !o.Up {
			w.fail("side %d: Reset of no stream", s.i)
		}
		if w.quiet {
			w.fail("side %d: reset by old frames", s.i)
		}
		s.up = false
	}
	if o.Up {
		key := stream{l.ours, l.theirs}
		w.log("  side %d: up %x %x", s.i, l.ours[:2], l.theirs[:2])
		if s.streams[key] {
			w.fail("side %d: a stream came twice", s.i)
		}
		s.streams[key] = true
		s.born++
		s.up, s.got, s.next = true, [Classes]int{}, [Classes]uint64{}
		w.sent[key] = new([Classes][][]byte)
	}
	if s.up != l.Up() {
		w.fail("side %d: Up is %v, outputs say %v", s.i, l.Up(), s.up)
	}
	for _, m := range o.Messages {
		if !s.up {
			w.fail("side %d: message without a stream", s.i)
		}
		from := w.sent[stream{l.theirs, l.ours}]
		if from == nil {
			w.fail("side %d: message of a stream that the peer is not in", s.i)
		}
		born, nth := binary.BigEndian.Uint64(m.Bytes), binary.BigEndian.Uint64(m.Bytes[8:])
		if born < s.newest {
			w.fail("side %d: message of stream %d after one of %d", s.i, born, s.newest)
		}
		s.newest = born
		if m.Class != Control && nth != uint64(s.got[m.Class]) || m.Class == Control && nth < s.next[Control] {
			w.fail("side %d: class %d: message %d, not %d or %d", s.i, m.Class, nth, s.got[m.Class], s.next[Control])
		}
		if nth >= uint64(len(from[m.Class])) || string(from[m.Class][nth]) != string(m.Bytes) {
			w.fail("side %d: class %d: message %d is not what was sent", s.i, m.Class, nth)
		}
		s.got[m.Class]++
		s.next[m.Class] = nth + 1
	}
	for _, f := range o.Frames {
		if len(f.Bytes) > 128+MaxName {
			w.fail("side %d: frame of %d bytes", s.i, len(f.Bytes))
		}
		p := packet{1 - s.i, f.Class, append([]byte(nil), f.Bytes...)}
		w.flight = append(w.flight, p)
		w.record = append(w.record, p)
	}
	o.Clear()
}

func (w *world) send(i int, c Class) {
	s := w.sides[i]
	l := s.link
	if !l.Up() {
		if err := l.Send(c, nil, &s.out); err != ErrDown {
			w.fail("Send while down: %v", err)
		}
		return
	}
	list := &w.sent[stream{l.ours, l.theirs}][c]
	n := 16
	if w.rng.IntN(4) == 0 {
		n += w.rng.IntN(600)
	}
	m := make([]byte, n)
	binary.BigEndian.PutUint64(m, s.born)
	binary.BigEndian.PutUint64(m[8:], uint64(len(*list)))
	for i := 16; i < n; i++ {
		m[i] = byte(w.rng.Uint32())
	}
	*list = append(*list, m)
	if err := l.Send(c, m, &s.out); err != nil {
		w.fail("Send: %v", err)
	}
	w.settle(s)
}

func (w *world) deliver(p packet) {
	s := w.sides[p.to]
	w.log("to %d: class %d kind %#x", p.to, p.class, p.bytes[0])
	s.link.Receive(p.class, p.bytes, &s.out)
	w.settle(s)
}

func (w *world) tick(i int) {
	w.sides[i].link.Tick(&w.sides[i].out)
	w.settle(w.sides[i])
}

func (w *world) take(i int) packet {
	p := w.flight[i]
	w.flight = append(w.flight[:i], w.flight[i+1:]...)
	return p
}

// mischief is one step of the bad times.
func (w *world) mischief() {
	i := w.rng.IntN(2)
	switch r := w.rng.IntN(100); {
	case r < 25:
		w.send(i, Class(w.rng.IntN(Classes)))
	case r < 60 && len(w.flight) > 0: // the oldest, as a rule
		w.deliver(w.take(0))
	case r < 68 && len(w.flight) > 0:
		w.deliver(w.take(w.rng.IntN(len(w.flight))))
	case r < 72 && len(w.flight) > 0:
		w.take(w.rng.IntN(len(w.flight)))
	case r < 75 && len(w.flight) > 0:
		w.deliver(w.flight[w.rng.IntN(len(w.flight))])
	case r < 80 && len(w.record) > 0:
		w.deliver(w.record[w.rng.IntN(len(w.record))])
	case r < 95:
		w.tick(i)
	case r < 96:
		w.restart(i)
	case r < 97:
		w.sides[i].link.Open(&w.sides[i].out)
		w.settle(w.sides[i])
	case r < 98:
		w.sides[i].link.Reset(&w.sides[i].out)
		w.settle(w.sides[i])
	case r < 99:
		w.flight = nil
	}
}

// drain delivers all that is in flight in order, and what that causes.
func (w *world) drain() {
	for n := 0; len(w.flight) > 0; n++ {
		if n > 10_000 {
			w.fail("the frames never end")
		}
		w.deliver(w.take(0))
	}
}

// heal makes the network good and demands a stream that works. Each frame is under way for the given number of ticks.
func (w *world) heal(latency int) {
	w.log("heal")
	w.flight = nil
	under := make([]int, latency) // frames in flight, by age
	well := func() bool {
		a, b := w.sides[0].link, w.sides[1].link
		return a.Up() && b.Up() && a.ours == b.theirs && a.theirs == b.ours && a.confirmed && b.confirmed
	}
	since := 0
	for tick := range 60 {
		for i := range w.sides {
			w.tick(i)
			if w.sides[i].link.Up() {
				w.send(i, Control)
			}
		}
		if latency == 0 {
			w.drain()
		} else {
			arrive := under[0]
			total := 0
			for _, n := range under {
				total += n
			}
			fresh := len(w.flight) - total
			under = append(under[1:], fresh)
			for range arrive {
				before := len(w.flight)
				w.deliver(w.take(0))
				under[latency-1] += len(w.flight) - before + 1
			}
		}
		if !well() {
			since = tick + 1
		}
	}
	// A loss at the end of the bad times takes StallTicks, ten here, to be noticed; an opening takes two trips and the wait for a repeat.
	if limit := 10 + 6 + 6*latency; since > limit {
		w.fail("no stream %d ticks after healing (latency %d)", since, latency)
	}
	w.worst = max(w.worst, since)
	w.drain()
	for i := range w.sides {
		for c := range Class(Classes) {
			for range 3 {
				w.send(i, c)
			}
		}
	}
	w.drain()
	for i, s := range w.sides {
		o := w.sides[1-i]
		for c := Log; c <= Bulk; c++ {
			if n := len(w.sent[stream{s.link.theirs, s.link.ours}][c]); o.up && s.got[c] != n {
				w.fail("side %d: class %d: %d of %d delivered", i, c, s.got[c], n)
			}
		}
	}
}

// old delivers everything that was ever sent once more, in any order, to two members that are well.
func (w *world) old() {
	w.log("old")
	w.quiet = true
	for range 300 {
		p := w.record[w.rng.IntN(len(w.record))]
		w.deliver(p)
		if w.rng.IntN(2) == 0 {
			w.drain()
		}
		if w.rng.IntN(10) == 0 {
			w.tick(w.rng.IntN(2))
		}
	}
	w.drain()
	w.quiet = false
}

func TestAdversary(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	worst := 0
	for seed := range seeds {
		w := newWorld(t, seed)
		w.log("seed %d", seed)
		for range 6 {
			for range 200 {
				w.mischief()
			}
			w.heal(w.rng.IntN(4))
			w.old()
			w.heal(0)
		}
		worst = max(worst, w.worst)
	}
	t.Logf("at most %d ticks from healing to a stream", worst)
}
