package sim

// Time is virtual time in nanoseconds since the run began.
type Time int64

// What an event does.
const (
	evTick    uint8 = iota // node
	evKeep                 // node
	evFrame                // to node, of connection a of pair
	evHint                 // of pair, at node
	evFlushed              // store of node, upto a
	evRead                 // of the log of node
	evPiece                // of a snapshot, at node
	evDrain                // node
	evResume               // node
	evRestart              // node
	evClient               // node
	evWatcher              // a
	evGuest                // a
	evLapse                // of a session at node
	evAction               // the next of the recorded list
	evUndo                 // end of a fault: x names it
	evPhase
	evCheck
)

// event is one entry of the heap.
type event struct {
	at    Time
	seq   uint64
	kind  uint8
	dir   uint8
	cls   uint8
	node  int32
	run   uint32 // of node, or 0: whoever runs then
	a     uint64
	pair  *pair
	bytes []byte
	msg   any
}

// queue is a binary heap ordered by (at, seq).
type queue struct {
	h   []event
	seq uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.h = append(q.h, e)
	i := len(q.h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !before(&e, &q.h[p]) {
			break
		}
		q.h[i] = q.h[p]
		i = p
	}
	q.h[i] = e
}

func (q *queue) pop() event {
	top := q.h[0]
	n := len(q.h) - 1
	last := q.h[n]
	q.h[n] = event{}
	q.h = q.h[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && before(&q.h[c+1], &q.h[c]) {
			c++
		}
		if !before(&q.h[c], &last) {
			break
		}
		q.h[i] = q.h[c]
		i = c
	}
	q.h[i] = last
	return top
}

func before(a, b *event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }
