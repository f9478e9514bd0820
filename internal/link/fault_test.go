package link_test

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/link"
)

// A message that is refused takes no sequence number: what follows it arrives, and nothing is reset.
func TestRefusedMessageLeavesNoGap(t *testing.T) {
	a, b := pair(t, 100)
	for _, class := range []link.Class{link.Control, link.Log, link.Bulk} {
		var out, in link.Output
		if err := a.Send(class, make([]byte, 101), &out); err != link.ErrTooLarge {
			t.Fatal(err)
		}
		if err := a.Send(class, []byte("next"), &out); err != nil {
			t.Fatal(err)
		}
		exchange(b, a, &out)
		if err := a.Send(class, []byte("last"), &out); err != nil {
			t.Fatal(err)
		}
		b.Receive(class, out.Frames[len(out.Frames)-1].Bytes, &in)
		if in.Reset || !b.Up() || len(in.Messages) != 1 || string(in.Messages[0].Bytes) != "last" {
			t.Fatalf("class %d: %+v", class, in)
		}
	}
}

// peers are two links with nothing between them, of which the second finds fault with every stream.
type peers struct{ a, b *link.Link }

// say delivers what one side sends, and what follows from it.
func (p *peers) say(out *link.Output, fromB bool) {
	for len(out.Frames) > 0 {
		var next link.Output
		to := p.b
		if fromB {
			to = p.a
		}
		for _, f := range out.Frames {
			to.Receive(f.Class, f.Bytes, &next)
		}
		out, fromB = &next, !fromB
	}
}

// A peer that errs in each stream, and opens the next one as fast as it can, gets ever fewer of them: the pause doubles up to a bound, is not the
// same each time, and is short again after a stream that has lasted.
func TestFaultPauses(t *testing.T) {
	p := &peers{}
	p.a, p.b = pair(t, 0)
	pause := func() (ticks int) {
		t.Helper()
		var out link.Output
		p.b.Fault(&out)
		if !out.Reset || len(out.Frames) > 0 || p.b.Up() {
			t.Fatalf("%+v", out)
		}
		for !p.b.Up() {
			var a, b link.Output
			p.a.Reset(&a) // again and again, from anew
			p.say(&a, false)
			if p.b.Up() {
				break
			}
			p.b.Open(&b)
			if len(b.Frames) > 0 {
				t.Fatal("opened in the pause")
			}
			p.b.Tick(&b)
			p.say(&b, true)
			if ticks++; ticks > 1000 {
				t.Fatal("never again")
			}
		}
		return ticks
	}
	seen := map[int]bool{}
	for n := range 40 {
		longest := min(4<<min(n, 10), 64)
		ticks := pause()
		if ticks < longest/2 || ticks > longest {
			t.Fatalf("fault %d: a pause of %d ticks, want %d to %d", n, ticks, longest/2, longest)
		}
		seen[ticks] = true
	}
	if len(seen) < 8 {
		t.Errorf("no jitter: %v", seen)
	}
	for range 128 {
		var out link.Output
		p.b.Tick(&out)
	}
	if ticks := pause(); ticks > 4 {
		t.Errorf("a pause of %d ticks after a stream that has lasted", ticks)
	}
	var out link.Output
	down := link.New(link.Config{Self: 1, Nonce: random}, 2)
	if down.Fault(&out); out.Reset {
		t.Error("a fault of no stream")
	}
}

// What belongs to a stream that a fault has ended is answered in the pause as well: the peer need not wait for it to learn of the end.
func TestFaultIsTold(t *testing.T) {
	a, b := pair(t, 0)
	var fault, out, answer, end link.Output
	b.Fault(&fault)
	if err := a.Send(link.Control, []byte("ping"), &out); err != nil {
		t.Fatal(err)
	}
	b.Receive(link.Control, out.Frames[0].Bytes, &answer)
	for _, f := range answer.Frames {
		a.Receive(f.Class, f.Bytes, &end)
	}
	if len(answer.Frames) != 1 || !end.Reset || a.Up() {
		t.Fatalf("%+v, then %+v", answer, end)
	}
}
