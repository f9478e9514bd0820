package session

import (
	"bytes"
	"math/rand/v2"
	"runtime"
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

// What a session takes at a leader: its place in the table, with an answer that was not fetched, and in the tracker.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes memory")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tracker, table := new(Tracker), new(Table)
	for i := range uint64(many) {
		id := (i + 1) << 20
		if err := table.OpenFor(id, 1, [16]byte{1}, 5000); err != nil {
			t.Fatal(err)
		}
		if err := table.Decide(Name{id, 0, 1}, 1, Entry{Zxid: 1 << 50, Index: -1, Number: -1}); err != nil {
			t.Fatal(err)
		}
		tracker.Add(id, 100)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / many
	t.Logf("%d bytes a session", each)
	if each > 500 {
		t.Errorf("a session takes %d bytes", each)
	}
	runtime.KeepAlive(tracker)
	runtime.KeepAlive(table)
}
