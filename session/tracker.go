package session

import "slices"

// slots is how many ticks a wheel looks ahead. What is due later comes by once in so many ticks.
const slots = 512

// wheel holds what is tracked in buckets, one for each tick, and a tick looks at one bucket only.
type wheel struct {
	now     uint64
	buckets [slots]*tracked
}

type tracked struct {
	id         uint64
	ticks      uint64 // of silence that end it
	due        uint64 // the tick that ends it, if nothing is heard
	bucket     uint32
	prev, next *tracked
}

func (w *wheel) put(x *tracked) {
	x.bucket = uint32(x.due % slots)
	head := &w.buckets[x.bucket]
	if x.next = *head; x.next != nil {
		x.next.prev = x
	}
	*head = x
}

func (w *wheel) take(x *tracked) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		w.buckets[x.bucket] = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
}

// tick lets a tick pass and appends, in ascending order, the ids that it expires. They are in no bucket any more.
func (w *wheel) tick(expired []uint64) []uint64 {
	w.now++
	from := len(expired)
	for x := w.buckets[w.now%slots]; x != nil; {
		next := x.next
		switch {
		case x.due <= w.now:
			w.take(x)
			expired = append(expired, x.id)
		case uint32(x.due%slots) != x.bucket:
			w.take(x)
			w.put(x)
		}
		x = next
	}
	slices.Sort(expired[from:])
	return expired
}

// Tracker finds the sessions that were silent for too long. It knows no clock: its time is the ticks that it is told of, so a clock that is set, and a
// pause of the process, expire nothing.
//
// As in ZooKeeper, sessions stand in buckets. Unlike there, a sign of life does not move a session: it is moved on when its bucket is due and it was heard of
// since, once in a timeout and not at each touch.
//
// The zero value is ready. It is for one goroutine at a time.
type Tracker struct {
	wheel wheel
	by    map[uint64]*tracked
}

// Add begins to track id: it expires with the tick after which ticks have passed since the last sign of life, of which this is the first. One that
// is tracked already gets the new number.
func (t *Tracker) Add(id, ticks uint64) {
	t.Remove(id)
	if t.by == nil {
		t.by = make(map[uint64]*tracked)
	}
	x := &tracked{id: id, ticks: max(ticks, 1)}
	x.due = t.wheel.now + x.ticks
	t.by[id] = x
	t.wheel.put(x)
}

// Touch notes a sign of life; false if id is not tracked.
func (t *Tracker) Touch(id uint64) bool {
	x := t.by[id]
	if x != nil {
		x.due = t.wheel.now + x.ticks
	}
	return x != nil
}

// Remove ends the tracking of id, if it is tracked.
func (t *Tracker) Remove(id uint64) {
	if x := t.by[id]; x != nil {
		t.wheel.take(x)
		delete(t.by, id)
	}
}

// Tick lets a tick pass and appends, in ascending order, the ids that it expires. They are tracked no more.
func (t *Tracker) Tick(expired []uint64) []uint64 {
	from := len(expired)
	expired = t.wheel.tick(expired)
	for _, id := range expired[from:] {
		delete(t.by, id)
	}
	return expired
}

// Len returns how many are tracked.
func (t *Tracker) Len() int { return len(t.by) }
