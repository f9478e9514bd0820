package session

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

const leadTick = 50 * time.Millisecond

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

// elapse lets a tick pass for the leader, and returns whose time is over.
func elapse(t *Table) (over []uint64) {
	t.Elapse()
	for {
		id, ok := t.Over()
		if !ok {
			return over
		}
		over = append(over, id)
	}
}

// A leader's timeouts against a tracker as simple as can be, while sessions come, go, move and are heard of, and leaders change. Some sessions are taken up late.
func TestLeadingTwin(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		var table Table
		var twin *slow
		begin := func() {
			twin = &slow{seen: map[uint64][2]uint64{}}
			for s := range table.All() {
				if s.Timeout != 0 {
					twin.seen[s.ID] = [2]uint64{0, Ticks(time.Duration(s.Timeout)*time.Millisecond, leadTick)}
				}
			}
			table.Lead(leadTick)
			if n := len(table.rows); n > 0 && r.IntN(2) == 0 { // as if there were too many
				from := r.IntN(n)
				for _, r := range table.rows[from:] {
					if r != nil {
						r.due = untracked // it stands in the wheel all the same, which does no harm
					}
				}
				table.leading.next = from
				count["late"]++
			}
		}
		alive := func(s Session) {
			if s.Timeout != 0 {
				twin.seen[s.ID] = [2]uint64{twin.now, Ticks(time.Duration(s.Timeout)*time.Millisecond, leadTick)}
			}
		}
		begin()
		z, moving := uint64(0), uint64(0)
		for range 2000 {
			sessions := slices.Collect(table.All())
			var s Session
			if len(sessions) > 0 {
				s = sessions[r.IntN(len(sessions))]
			}
			_, tracked := twin.seen[s.ID]
			switch k := r.IntN(40); {
			case k == 0:
				table.Abandon()
				moving = 0
				begin()
			case k < 4:
				z++
				timeout := uint32(r.IntN(1500))
				if r.IntN(5) == 0 {
					timeout = 0
				}
				if err := table.OpenFor(z, 1, zab.Incarnation{1}, timeout); err != nil {
					t.Fatal(err)
				}
				alive(Session{ID: z, Timeout: timeout})
			case k == 4 && s.ID != 0 && s.ID != moving:
				if err := table.Close(s.ID); err != nil {
					t.Fatal(err)
				}
				delete(twin.seen, s.ID)
			case k == 5 && moving == 0 && s.ID != 0 && table.FreshMove(s.ID):
				table.ClaimMove(s.ID)
				moving = s.ID
				alive(s)
				count["move"]++
				if !tracked && s.Timeout != 0 {
					count["resumed when its time was over"]++
				}
			case k == 6 && moving != 0:
				m, _ := table.Get(moving)
				if _, err := table.Move(m.ID, 2, zab.Incarnation{2}); err != nil {
					t.Fatal(err)
				}
				moving = 0
				alive(m)
			case k < 20 && s.ID != 0:
				if table.Touch(s.ID, s.Generation+1) {
					t.Fatalf("seed %d: a touch in a generation to come keeps %d", seed, s.ID)
				}
				if got := table.Touch(s.ID, s.Generation); got != (tracked && moving != s.ID) {
					t.Fatalf("seed %d, tick %d: touch of %d is %v, and it is tracked: %v", seed, twin.now, s.ID, got, tracked)
				} else if got {
					alive(s)
				}
			default:
				table.Elapse()
				for _, id := range twin.tick() {
					count["expired"]++
					if table.Touch(id, 0) || table.Touch(id, 1) {
						t.Fatalf("seed %d: %d is kept, and its time is over", seed, id)
					}
				}
				if r.IntN(8) > 0 {
					continue // the leader cannot propose now
				}
				var over []uint64
				for id, ok := table.Over(); ok; id, ok = table.Over() {
					table.ClaimClose(id)
					over = append(over, id)
				}
				var want []uint64
				for s := range table.All() {
					if _, in := twin.seen[s.ID]; !in && s.Timeout != 0 && s.ID != moving {
						want = append(want, s.ID)
					}
				}
				slices.Sort(over)
				if !slices.Equal(over, want) {
					t.Fatalf("seed %d, tick %d: the time of %v is over, want %v", seed, twin.now, over, want)
				}
				for _, id := range over {
					if err := table.Close(id); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	t.Log(count)
	for _, what := range []string{"late", "move", "expired", "resumed when its time was over"} {
		if count[what] < 100 {
			t.Errorf("it is too tame: %v", slices.Collect(maps.Keys(count)))
		}
	}
}

// With more sessions than are taken up at once, those that nobody hears of all end at the same tick, and those that somebody hears of do not, whenever that was.
func TestLeadTakesUpAll(t *testing.T) {
	const n = 2*mostTaken + 100
	var table Table
	for id := range uint64(n) {
		if err := table.OpenFor(id+1, 1, zab.Incarnation{1}, 1000); err != nil {
			t.Fatal(err)
		}
	}
	table.Lead(leadTick)
	for tick := range Ticks(time.Second, leadTick) - 1 {
		if tick == 0 && table.leading.next == table.leading.last {
			t.Fatal("all were taken up at once")
		}
		if tick > 0 && !table.Touch(n+1-tick, 0) {
			t.Fatalf("tick %d: it is not there", tick)
		}
		table.Elapse()
		if id, ok := table.Over(); ok {
			t.Fatalf("tick %d: the time of %d is over", tick, id)
		}
	}
	table.Elapse()
	over := 0
	for id, ok := table.Over(); ok; id, ok = table.Over() {
		if over++; id != uint64(over) {
			t.Fatalf("%d, and not %d", id, over)
		}
	}
	if want := n - int(Ticks(time.Second, leadTick)) + 2; over != want {
		t.Errorf("the time of %d is over, want %d", over, want)
	}
}

// So many at once that they do not all stand in the bucket of their tick.
func TestLeadingCrowd(t *testing.T) {
	for _, ticks := range []uint64{3, 5, 30, slots + 88} {
		var table Table
		table.Lead(time.Millisecond)
		twin := &slow{seen: map[uint64][2]uint64{}}
		const n = 3*mostDue + 100
		for id := uint64(1); id <= n; id++ {
			if err := table.OpenFor(id, 1, zab.Incarnation{1}, uint32(ticks-2)); err != nil { // see Ticks
				t.Fatal(err)
			}
			twin.seen[id] = [2]uint64{0, ticks}
		}
		most := 0
		for range 2*ticks + 10 {
			for id := uint64(1); id <= n; id++ { // one of eight is silent
				if (id+twin.now)%4 == 0 && id%32 > 3 {
					if x, there := twin.seen[id]; there != table.Touch(id, 0) {
						t.Fatalf("timeout %d, tick %d: %d is there: %v", ticks, twin.now, id, there)
					} else if there {
						twin.seen[id] = [2]uint64{twin.now, x[1]}
					}
				}
			}
			w := &table.leading.wheel
			most = max(most, len(w.buckets[(w.now+1)%slots]))
			if got, want := elapse(&table), twin.tick(); !slices.Equal(got, want) {
				t.Fatalf("timeout %d, tick %d: %d are over, want %d", ticks, twin.now, len(got), len(want))
			}
		}
		if ticks >= 30 && most > n/2 {
			t.Errorf("timeout %d: a tick looks at %d of %d", ticks, most, n)
		}
	}
}
