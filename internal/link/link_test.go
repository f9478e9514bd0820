package link_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

func TestConstantsMatchTransport(t *testing.T) {
	if link.MaxFrame != transport.MaxFrame || link.Classes != transport.Classes ||
		transport.Class(link.Control) != transport.Control || transport.Class(link.Log) != transport.Log || transport.Class(link.Bulk) != transport.Bulk {
		t.Fatal("link and transport differ")
	}
}

func random() (n link.Nonce) {
	rand.Read(n[:])
	return n
}

// pair returns two links with a stream between them.
func pair(t testing.TB, maxMessage int) (a, b *link.Link) {
	a = link.New(link.Config{Self: 1, Name: "n", MaxMessage: maxMessage, Nonce: random}, 2)
	b = link.New(link.Config{Self: 2, Name: "n", MaxMessage: maxMessage, Nonce: random}, 1)
	var out link.Output
	a.Open(&out)
	exchange(b, a, &out)
	if !a.Up() || !b.Up() {
		t.Fatal("no stream")
	}
	return a, b
}

// exchange delivers what is in out to the link to, and what it answers to the other one, until there is nothing left.
func exchange(to, from *link.Link, out *link.Output) {
	for len(out.Frames) > 0 {
		var answer link.Output
		for _, f := range out.Frames {
			to.Receive(f.Class, f.Bytes, &answer)
		}
		out, to, from = &answer, from, to
	}
}

func TestSizes(t *testing.T) {
	const max = 3 << 20
	for _, class := range []link.Class{link.Control, link.Log, link.Bulk} {
		a, b := pair(t, max)
		for _, n := range []int{0, 1, link.MaxFrame - 42, link.MaxFrame - 41, link.MaxFrame - 40, link.MaxFrame, 2*link.MaxFrame + 1, max} {
			msg := make([]byte, n)
			rand.Read(msg)
			var out, in link.Output
			if err := a.Send(class, msg, &out); err != nil {
				t.Fatal(err)
			}
			for _, f := range out.Frames {
				if f.Class != class || len(f.Bytes) > link.MaxFrame {
					t.Fatalf("frame of class %d with %d bytes", f.Class, len(f.Bytes))
				}
				b.Receive(f.Class, f.Bytes, &in)
			}
			if len(in.Messages) != 1 || in.Messages[0].Class != class || !bytes.Equal(in.Messages[0].Bytes, msg) {
				t.Fatalf("class %d: message of %d bytes did not arrive", class, n)
			}
		}
		var out link.Output
		if err := a.Send(class, make([]byte, max+1), &out); err != link.ErrTooLarge || len(out.Frames) != 0 {
			t.Fatal(err)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	a, _ := pair(t, 0)
	var out link.Output
	if err := a.Send(link.Classes, nil, &out); err != link.ErrClass {
		t.Error(err)
	}
	down := link.New(link.Config{Self: 1, Nonce: random}, 2)
	if err := down.Send(link.Log, nil, &out); err != link.ErrDown {
		t.Error(err)
	}
	if len(out.Frames) != 0 {
		t.Error("frames of a refused message")
	}
}

// A peer with a higher limit sends a message that this side does not take.
func TestTooLargeForReceiver(t *testing.T) {
	for _, size := range []int{101, 2 << 20} {
		a := link.New(link.Config{Self: 1, Nonce: random}, 2)
		b := link.New(link.Config{Self: 2, MaxMessage: 100, Nonce: random}, 1)
		var out, in link.Output
		a.Open(&out)
		exchange(b, a, &out)
		out.Clear()
		if err := a.Send(link.Log, make([]byte, size), &out); err != nil {
			t.Fatal(err)
		}
		b.Receive(link.Log, out.Frames[0].Bytes, &in)
		if !in.Reset || !errors.Is(in.Err, link.ErrTooLarge) || len(in.Messages) != 0 || b.Up() {
			t.Fatalf("%d bytes: %+v", size, in)
		}
	}
}

// The first frame may say any size: memory is taken for what has come.
func TestClaimedSizeTakesNoMemory(t *testing.T) {
	a, b := pair(t, 1<<30)
	var out, in link.Output
	a.Send(link.Log, make([]byte, 600<<10), &out)
	frame := bytes.Clone(out.Frames[0].Bytes)
	binary.BigEndian.PutUint64(frame[25:], 1<<30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.Receive(link.Log, frame, &in)
	runtime.ReadMemStats(&after)
	if !b.Up() || in.Reset {
		t.Fatal("not taken")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Fatalf("%d bytes of memory for a frame", n)
	}
}

func TestWrongClassOfTransport(t *testing.T) {
	a, b := pair(t, 0)
	var out, in link.Output
	a.Send(link.Log, []byte("x"), &out)
	b.Receive(link.Bulk, out.Frames[0].Bytes, &in)
	b.Receive(link.Classes, out.Frames[0].Bytes, &in)
	if len(in.Messages) != 0 || in.Reset {
		t.Fatalf("%+v", in)
	}
	b.Receive(link.Log, out.Frames[0].Bytes, &in)
	if len(in.Messages) != 1 {
		t.Fatal("lost")
	}
}

// Parts of two messages of Control whose other parts are lost do not become one, though their sizes match.
func TestControlPartsAreNotMixed(t *testing.T) {
	a, b := pair(t, 0)
	var one, two, in link.Output
	size := 2*link.MaxFrame + 1000
	a.Send(link.Control, make([]byte, size), &one)
	a.Send(link.Control, bytes.Repeat([]byte("x"), size), &two)
	if len(one.Frames) != 3 || len(two.Frames) != 3 {
		t.Fatal("not three parts")
	}
	for _, f := range []link.Frame{one.Frames[0], two.Frames[1], two.Frames[2]} {
		b.Receive(f.Class, f.Bytes, &in)
	}
	if len(in.Messages) != 0 || in.Reset {
		t.Fatalf("%d messages", len(in.Messages))
	}
	two.Clear()
	a.Send(link.Control, []byte("next"), &two)
	b.Receive(link.Control, two.Frames[0].Bytes, &in)
	if len(in.Messages) != 1 || string(in.Messages[0].Bytes) != "next" {
		t.Fatalf("%+v", in)
	}
}

// An Output that takes several calls never shows the messages of one stream as those of another.
func TestOutputOfManyCalls(t *testing.T) {
	a, b := pair(t, 0)
	var out, in link.Output
	for range 3 {
		a.Send(link.Log, []byte("old"), &out)
	}
	b.Receive(link.Log, out.Frames[0].Bytes, &in)
	b.Receive(link.Log, out.Frames[2].Bytes, &in) // a gap
	if !in.Reset || in.Up || len(in.Messages) != 0 {
		t.Fatalf("%+v", in)
	}
	for !b.Up() {
		var back link.Output
		for _, f := range in.Frames {
			a.Receive(f.Class, f.Bytes, &back)
		}
		in.Frames = nil
		for _, f := range back.Frames {
			b.Receive(f.Class, f.Bytes, &in)
		}
		out.Clear()
	}
	for _, f := range in.Frames {
		a.Receive(f.Class, f.Bytes, &out)
	}
	out.Clear()
	if err := a.Send(link.Log, []byte("new"), &out); err != nil {
		t.Fatal(err)
	}
	b.Receive(link.Log, out.Frames[0].Bytes, &in)
	if !in.Reset || !in.Up || len(in.Messages) != 1 || string(in.Messages[0].Bytes) != "new" {
		t.Fatalf("%+v", in)
	}
}

func TestMemberID(t *testing.T) {
	for _, c := range []struct{ self, peer quorum.ID }{{3, 2}, {1, 3}} {
		a := link.New(link.Config{Self: c.self, Nonce: random}, c.peer)
		b := link.New(link.Config{Self: 2, Nonce: random}, 1)
		var out, in, back link.Output
		a.Open(&out)
		b.Receive(link.Control, out.Frames[0].Bytes, &in)
		if !errors.Is(in.Err, link.ErrMember) || len(in.Frames) != 1 {
			t.Fatalf("%+v", in)
		}
		a.Receive(link.Control, in.Frames[0].Bytes, &back)
		if !errors.Is(back.Err, link.ErrMember) || a.Up() || b.Up() {
			t.Fatalf("%+v", back)
		}
	}
}

// Two memberships are two ideas of a quorum. A frame that states none, as one of an earlier version, is let pass.
func TestMembership(t *testing.T) {
	for _, c := range []struct {
		a, b byte
		want error
	}{{1, 1, nil}, {1, 2, link.ErrMembers}, {0, 2, nil}, {1, 0, nil}} {
		a := link.New(link.Config{Self: 1, Members: [16]byte{c.a}, Nonce: random}, 2)
		b := link.New(link.Config{Self: 2, Members: [16]byte{c.b}, Nonce: random}, 1)
		var out, in, back link.Output
		a.Open(&out)
		if c.a == 0 {
			out.Frames[0].Bytes = out.Frames[0].Bytes[:len(out.Frames[0].Bytes)-16]
		}
		b.Receive(link.Control, out.Frames[0].Bytes, &in)
		if !errors.Is(in.Err, c.want) || len(in.Frames) != 1 {
			t.Fatalf("%+v", in)
		}
		a.Receive(link.Control, in.Frames[0].Bytes, &back)
		if !errors.Is(back.Err, c.want) || a.Up() != (c.want == nil) {
			t.Fatalf("%+v", back)
		}
	}
}

func TestOldVersionIsRefused(t *testing.T) {
	a := link.New(link.Config{Self: 1, Nonce: random}, 2)
	b := link.New(link.Config{Self: 2, Nonce: random}, 1)
	var out, in link.Output
	a.Open(&out)
	out.Frames[0].Bytes[1] = 0
	b.Receive(link.Control, out.Frames[0].Bytes, &in)
	if !errors.Is(in.Err, link.ErrVersion) {
		t.Fatalf("%+v", in)
	}
	// A later version may say more after the name.
	in.Clear()
	later := append(bytes.Clone(out.Frames[0].Bytes), "more"...)
	later[1] = 2
	b.Receive(link.Control, later, &in)
	if in.Err != nil || len(in.Frames) != 1 {
		t.Fatalf("%+v", in)
	}
}

// The rule for versions, with a stand-in for the next one: a member of it says so in its handshakes, and maybe more behind the name, and the two have a
// stream in which messages go both ways, whoever opens it. Frames of data carry no version: what is agreed on holds for the stream.
func TestNextVersion(t *testing.T) {
	for _, opener := range []quorum.ID{1, 2} {
		next := link.New(link.Config{Self: 1, Name: "n", Nonce: random}, 2)
		ours := link.New(link.Config{Self: 2, Name: "n", Nonce: random}, 1)
		said := 0
		deliver := func(to *link.Link, out *link.Output) (answer link.Output) {
			for _, f := range out.Frames {
				b := bytes.Clone(f.Bytes)
				if to == ours && b[0] < 0x80 { // a handshake
					b[1] = 2
					b = append(b, "more"...)
					said++
				}
				to.Receive(f.Class, b, &answer)
			}
			return answer
		}
		var out link.Output
		to := ours
		if opener == 1 {
			next.Open(&out)
		} else {
			ours.Open(&out)
			to = next
		}
		for len(out.Frames) > 0 {
			if out = deliver(to, &out); out.Err != nil {
				t.Fatal(out.Err)
			}
			to = map[*link.Link]*link.Link{ours: next, next: ours}[to]
		}
		if !next.Up() || !ours.Up() || said == 0 {
			t.Fatalf("%d opens: no stream", opener)
		}
		for from, to := range map[*link.Link]*link.Link{ours: next, next: ours} { // any order: each stands alone
			var out link.Output
			if err := from.Send(link.Log, []byte("message"), &out); err != nil {
				t.Fatal(err)
			}
			if in := deliver(to, &out); len(in.Messages) != 1 || string(in.Messages[0].Bytes) != "message" {
				t.Fatalf("%+v", in)
			}
		}
	}
}

func TestBadNonce(t *testing.T) {
	for _, nonce := range []func() link.Nonce{nil, func() (n link.Nonce) { return n }} {
		l := link.New(link.Config{Self: 1, Nonce: nonce}, 2)
		var out link.Output
		l.Open(&out)
		if out.Err != link.ErrNonce || len(out.Frames) != 0 {
			t.Fatalf("%+v", out)
		}
	}
}

func TestLongName(t *testing.T) {
	cfg := link.Config{Self: 1, Name: strings.Repeat("x", 1000), Nonce: random}
	a := link.New(cfg, 2)
	cfg.Self = 2
	b := link.New(cfg, 1)
	var out link.Output
	a.Open(&out)
	exchange(b, a, &out)
	if !a.Up() || !b.Up() {
		t.Fatal("no stream")
	}
}

// A refusal of long ago, by a peer that was put right since, ends nothing.
func TestOldRefusal(t *testing.T) {
	a := link.New(link.Config{Self: 1, Name: "n", Nonce: random}, 2)
	wrong := link.New(link.Config{Self: 2, Name: "m", Nonce: random}, 1)
	right := link.New(link.Config{Self: 2, Name: "n", Nonce: random}, 1)
	var hello, refusal, ignored link.Output
	a.Open(&hello)
	wrong.Receive(link.Control, hello.Frames[0].Bytes, &refusal)
	exchange(right, a, &hello)
	if !a.Up() || !right.Up() {
		t.Fatal("no stream")
	}
	a.Receive(link.Control, refusal.Frames[0].Bytes, &ignored)
	if !a.Up() || ignored.Err != nil {
		t.Fatal("an old refusal has ended the stream")
	}
}

func TestSendAndReceiveDoNotAllocate(t *testing.T) {
	a, b := pair(t, 0)
	var out, in link.Output
	msg := make([]byte, 300)
	if n := testing.AllocsPerRun(1000, func() {
		out.Clear()
		in.Clear()
		if a.Send(link.Log, msg, &out) != nil {
			t.Error("down")
		}
		b.Receive(link.Log, out.Frames[0].Bytes, &in)
		if len(in.Messages) != 1 {
			t.Error("lost")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzReceive gives a link, down or up, whatever bytes. Those of the frames after "\xff" are put behind a header of the
// stream that is up, with the sequence number that is next.
func FuzzReceive(f *testing.F) {
	a, _ := pair(f, 0)
	var out link.Output
	a.Open(&out)
	a.Send(link.Log, []byte("abc"), &out)
	a.Send(link.Control, []byte("abc"), &out)
	a.Send(link.Bulk, make([]byte, 8), &out)
	for _, fr := range out.Frames {
		f.Add(byte(fr.Class), fr.Bytes, uint64(1))
	}
	f.Add(byte(1), []byte("\xff\x91\x00\x00\x00\x00\x00\x00\x00\x05abc"), uint64(1))
	f.Fuzz(func(t *testing.T, class byte, b []byte, seq uint64) {
		const max = 2 << 20
		down := link.New(link.Config{Self: 2, Name: "n", MaxMessage: max, Nonce: random}, 1)
		a, up := pair(t, max)
		var probe link.Output
		a.Send(link.Log, nil, &probe)
		head := bytes.Clone(probe.Frames[0].Bytes[:25])
		for _, l := range []*link.Link{down, up} {
			var o link.Output
			l.Receive(link.Class(class), b, &o)
			if len(b) > 1 && b[0] == 0xff {
				head[0] = b[1]
				for i := range uint64(3) {
					binary.BigEndian.PutUint64(head[17:], seq+i)
					l.Receive(link.Class(class), append(bytes.Clone(head), b[2:]...), &o)
				}
			}
			l.Tick(&o)
			total := 0
			for _, m := range o.Messages {
				total += len(m.Bytes)
			}
			if total > 4*max || len(o.Frames) > 16 {
				t.Fatalf("%d bytes of messages, %d frames", total, len(o.Frames))
			}
			for _, fr := range o.Frames {
				if len(fr.Bytes) > 400 {
					t.Fatalf("answer of %d bytes", len(fr.Bytes))
				}
			}
			if l.Up() {
				if err := l.Send(link.Log, []byte("x"), &o); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func benchmark(b *testing.B, class link.Class, size int) {
	x, y := pair(b, 0)
	var out, in link.Output
	msg := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		out.Clear()
		in.Clear()
		if err := x.Send(class, msg, &out); err != nil {
			b.Fatal(err)
		}
		for _, f := range out.Frames {
			y.Receive(f.Class, f.Bytes, &in)
		}
		if len(in.Messages) != 1 {
			b.Fatal("lost")
		}
	}
}

func BenchmarkControl32(b *testing.B) { benchmark(b, link.Control, 32) }
func BenchmarkLog1K(b *testing.B)     { benchmark(b, link.Log, 1<<10) }
func BenchmarkLog256K(b *testing.B)   { benchmark(b, link.Log, 256<<10) }
func BenchmarkBulk4M(b *testing.B)    { benchmark(b, link.Bulk, 4<<20) }

func BenchmarkOpen(b *testing.B) {
	x, y := pair(b, 0)
	b.ReportAllocs()
	var p, q link.Output
	for b.Loop() {
		p.Clear()
		x.Reset(&p)
		for range 2 {
			q.Clear()
			for _, f := range p.Frames {
				y.Receive(f.Class, f.Bytes, &q)
			}
			p.Clear()
			for _, f := range q.Frames {
				x.Receive(f.Class, f.Bytes, &p)
			}
		}
	}
}
