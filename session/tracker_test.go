package session

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// slow is a tracker as simple as can be: it looks at everybody at each tick.
type slow struct {
	now  uint64
	seen map[uint64][2]uint64 // last sign of life, ticks
}

func (s *slow) tick() (expired []uint64) {
	s.now++
	for id, x := range s.seen { // any order: it is sorted
		if s.now-x[0] >= x[1] {
			expired = append(expired, id)
			delete(s.seen, id)
		}
	}
	slices.Sort(expired)
	return expired
}

func TestTrackerTwin(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 9))
		var fast Tracker
		twin := &slow{seen: map[uint64][2]uint64{}}
		for range 5000 {
			id := r.Uint64N(40)
			switch r.IntN(8) {
			case 0:
				ticks := 1 + r.Uint64N(30)
				if r.IntN(4) == 0 {
					ticks = slots - 2 + r.Uint64N(3*slots)
				}
				fast.Add(id, ticks)
				twin.seen[id] = [2]uint64{twin.now, ticks}
			case 1:
				fast.Remove(id)
				delete(twin.seen, id)
			case 2, 3, 4:
				x, there := twin.seen[id]
				if fast.Touch(id) != there {
					t.Fatalf("seed %d: touch of %d, which is there: %v", seed, id, there)
				}
				if there {
					twin.seen[id] = [2]uint64{twin.now, x[1]}
				}
			default:
				if got, want := fast.Tick([]uint64{7}), twin.tick(); got[0] != 7 || !slices.Equal(got[1:], want) {
					t.Fatalf("seed %d, tick %d: %v expire, want %v", seed, twin.now, got, want)
				}
			}
			if fast.Len() != len(twin.seen) {
				t.Fatalf("seed %d: %d, want %d", seed, fast.Len(), len(twin.seen))
			}
		}
	}
}

// So many at once that they do not all stand in the bucket of their tick.
func TestTrackerCrowd(t *testing.T) {
	for _, ticks := range []uint64{1, 5, 30, slots + 88} {
		var fast Tracker
		twin := &slow{seen: map[uint64][2]uint64{}}
		const n = 3*mostDue + 100
		for id := range uint64(n) {
			fast.Add(id, ticks)
			twin.seen[id] = [2]uint64{0, ticks}
		}
		most := 0
		for range 2*ticks + 10 {
			for id := range uint64(n) { // one of eight is silent
				if (id+twin.now)%4 == 0 && id%32 > 3 {
					if x, there := twin.seen[id]; there != fast.Touch(id) {
						t.Fatalf("timeout %d, tick %d: %d is there: %v", ticks, twin.now, id, there)
					} else if there {
						twin.seen[id] = [2]uint64{twin.now, x[1]}
					}
				}
			}
			most = max(most, len(fast.wheel.buckets[(fast.wheel.now+1)%slots]))
			if got, want := fast.Tick(nil), twin.tick(); !slices.Equal(got, want) {
				t.Fatalf("timeout %d, tick %d: %d expire, want %d", ticks, twin.now, len(got), len(want))
			}
		}
		if ticks >= 30 && most > n/2 {
			t.Errorf("timeout %d: a tick looks at %d of %d", ticks, most, n)
		}
	}
}

// However ticks and touches fall, nobody expires before his timeout has passed since his last sign of life, nor much later.
func TestTicksCoverTheTimeout(t *testing.T) {
	const tick = 50 * time.Millisecond
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		timeout := time.Duration(1+r.IntN(2000)) * time.Millisecond
		var tracker Tracker
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
			return tracker.Tick(nil)
		}
		for range r.IntN(5) {
			pass()
		}
		now += time.Duration(r.Int64N(int64(max(1, next-now)))) // before the next tick is due
		if r.IntN(2) == 0 {
			now = next + time.Duration(r.Int64N(int64(tick))) // or when it is due and has not come
		}
		tracker.Add(1, Ticks(timeout, tick))
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

const many = 100_000

func full() *Tracker {
	t := new(Tracker)
	for id := range uint64(many) {
		t.Add(id<<20, 100)
	}
	return t
}

// A touch among 100 000 sessions, each touched about as often as it has to be.
func BenchmarkTouch(b *testing.B) {
	t := full()
	b.ReportAllocs()
	id := uint64(0)
	for b.Loop() {
		id = (id + 7919) % many
		t.Touch(id << 20)
	}
}

// A tick of a leader with 100 000 sessions that are all alive.
func BenchmarkTick(b *testing.B) {
	t := full()
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		for id := n % 16; id < many; id += 16 {
			t.Touch(id << 20)
		}
		if len(t.Tick(nil)) > 0 {
			b.Fatal("one has expired")
		}
	}
}
