package session

// slots is how many ticks a wheel looks ahead. What is due later comes by once in so many ticks.
const slots = 512

// mostDue is how many stand in a bucket while one before it has room.
const mostDue = 1 << 12

// wheel knows no clock: its time is the ticks that it is told of, so a clock that is set, and a pause of the process, end nothing. As in ZooKeeper, ids stand in buckets. Unlike there, a sign of life moves nothing.
//
// It says at which tick an id is to be looked at: at the tick when it was due as far as was known, or before. When that comes, who keeps the times puts it in again if it is due later. So an id
// stands in one bucket, in 8 bytes, and a sign of life costs it nothing; one that has gone stands there until its bucket comes.
type wheel struct {
	now     uint64
	buckets [slots][]uint64
}

// put lets id be looked at by the tick due, which is to come. Where many are due at once, as they are at a leader that begins, they are looked at one part after the other: those that were heard
// of until then go on, and the tick itself has only the others.
func (w *wheel) put(id, due uint64) {
	due = min(due, w.now+slots)
	at := due
	for len(w.buckets[at%slots]) >= mostDue {
		if at--; at == w.now {
			at = due
			break
		}
	}
	b := &w.buckets[at%slots]
	*b = append(*b, id)
}

// tick lets a tick pass and returns those that are to be looked at. They are in no bucket any more.
func (w *wheel) tick() []uint64 {
	w.now++
	b := &w.buckets[w.now%slots]
	ids := *b
	*b = nil
	return ids
}
