package session

import (
	"slices"

	"github.com/ensemble-go/ensemble/internal/byid"
)

type tracked struct {
	id     uint64
	ticks  uint64 // of silence that end it
	due    uint64 // the tick that ends it, if nothing is heard
	stands uint64 // the tick by which the wheel has it
}

// Key is the id, for the index.
func (x *tracked) Key() uint64 { return x.id }

// Tracker finds the sessions that were silent for too long. It knows no clock: its time is the ticks that it is told of, so a clock that is set, and a
// pause of the process, expire nothing.
//
// As in ZooKeeper, sessions stand in buckets. Unlike there, a sign of life does not move a session: it is moved on when its bucket is due and it was heard of
// since, once in a timeout and not at each touch.
//
// The zero value is ready. It is for one goroutine at a time.
type Tracker struct {
	wheel wheel
	by    byid.Map[*tracked]
}

// Add begins to track id: it expires with the tick after which ticks have passed since the last sign of life, of which this is the first. One that
// is tracked already gets the new number.
func (t *Tracker) Add(id, ticks uint64) {
	ticks = max(ticks, 1)
	x := t.by.Get(id)
	if x == nil {
		x = &tracked{id: id}
		t.by.Put(x)
	}
	x.ticks, x.due = ticks, t.wheel.now+ticks
	if x.stands <= t.wheel.now || x.stands > x.due { // where it stands otherwise it is early enough
		t.put(x)
	}
}

func (t *Tracker) put(x *tracked) { x.stands = t.wheel.put(x.id, x.due) }

// Touch notes a sign of life; false if id is not tracked.
func (t *Tracker) Touch(id uint64) bool {
	x := t.by.Get(id)
	if x != nil {
		x.due = t.wheel.now + x.ticks
	}
	return x != nil
}

// Remove ends the tracking of id, if it is tracked. Eight bytes of it go only when it would have been looked at, within 512 ticks.
func (t *Tracker) Remove(id uint64) { t.by.Delete(id) }

// Tick lets a tick pass and appends, in ascending order, the ids that it expires. They are tracked no more.
func (t *Tracker) Tick(expired []uint64) []uint64 {
	from := len(expired)
	for _, id := range t.wheel.tick() {
		switch x := t.by.Get(id); {
		case x == nil, x.stands != t.wheel.now: // it was removed, or stands elsewhere since
		case x.due <= t.wheel.now:
			t.by.Delete(id)
			expired = append(expired, id)
		default:
			t.put(x)
		}
	}
	slices.Sort(expired[from:])
	return expired
}

// Len returns how many are tracked.
func (t *Tracker) Len() int { return t.by.Len() }
