package session

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// However ticks and touches fall, nobody expires before his timeout has passed since his last sign of life, nor much later.
func TestTicksCoverTheTimeout(t *testing.T) {
	const tick = 50 * time.Millisecond
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		timeout := time.Duration(1+r.IntN(2000)) * time.Millisecond
		var table Table
		table.Lead(tick)
		var now, next, touched time.Duration
		// As the shell ticks: never before it is due, perhaps late, and then not to catch up with more than one.
		pass := func() []uint64 {
			now = max(now, next)
			if late := time.Duration(r.Int64N(int64(3 * tick))); r.IntN(3) == 0 {
				now += late
			}
			if next += tick; now >= next {
				next = now + tick
			}
			return elapse(&table)
		}
		for range r.IntN(5) {
			pass()
		}
		now += time.Duration(r.Int64N(int64(max(1, next-now)))) // before the next tick is due
		if r.IntN(2) == 0 {
			now = next + time.Duration(r.Int64N(int64(tick))) // or when it is due and has not come
		}
		if err := table.OpenFor(1, 1, zab.Incarnation{1}, uint32(timeout/time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		touched = now
		ticks := 0
		for len(pass()) == 0 {
			ticks++
		}
		if now-touched < timeout {
			t.Fatalf("seed %d: expired after %v of %v", seed, now-touched, timeout)
		}
		if most := int(timeout/tick) + 3; ticks > most {
			t.Fatalf("seed %d: %d ticks for %v", seed, ticks, timeout)
		}
	}
}

func TestNegotiate(t *testing.T) {
	const s = time.Second
	for _, c := range [][4]time.Duration{{0, s, 9 * s, s}, {2 * s, s, 9 * s, 2 * s}, {10 * s, s, 9 * s, 9 * s}, {s + 1, s, 9 * s, s + time.Millisecond}, {-5, s, s, s}} {
		if got := Negotiate(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("asked %v of %v to %v: %v", c[0], c[1], c[2], got)
		}
	}
}

func TestPassword(t *testing.T) {
	a, b := Key{1}, Key{2}
	p := a.Password(7)
	if len(p) != PasswordBytes || !a.Opens(7, p) || !bytes.Equal(p, a.Password(7)) {
		t.Errorf("%x does not open", p)
	}
	wrong := slices.Clone(p)
	wrong[PasswordBytes-1] ^= 1
	none := Key{}
	for name, opens := range map[string]bool{ // any order: each stands alone
		"a bit": a.Opens(7, wrong), "another session": a.Opens(8, p), "another ensemble": b.Opens(7, p), "its beginning": a.Opens(7, p[:8]),
		"nothing": a.Opens(7, nil), "no key": none.Opens(7, none.Password(7)),
	} {
		if opens {
			t.Errorf("it is opened by the password of %s", name)
		}
	}
}
