package zab

// run is the newest entries of a leader's history as one slice that is only ever appended to: learners at the live edge are sent pieces of it, and
// nothing is copied for each of them. It is left to the messages that hold it, and begun anew, when it is full.
type run struct {
	from    uint64 // absolute index of the first
	entries []Entry
	bytes   int
	output  uint64 // in which the last was proposed
	open    int    // how many were
}

const (
	runLen   = 512       // unless more are open
	runBytes = 256 << 10 // what one message may keep in memory beside its own entries
)

// push adds the entry at absolute index i, which is proposed in an Output. Those of the same Output stay together, since the messages that they are in may
// get more.
func (r *run) push(i uint64, e Entry, output uint64) {
	if r.output != output {
		r.output, r.open = output, 0
	}
	if r.bytes > runBytes {
		r.begin(i, 0)
	} else if len(r.entries) == cap(r.entries) {
		r.begin(i, r.open)
	}
	r.entries = append(r.entries, e)
	r.bytes += len(e.Data)
	r.open++
}

// begin makes room for the entry at absolute index i, after a copy of the last n before it.
func (r *run) begin(i uint64, n int) {
	room := min(2*len(r.entries)+8, runLen) // one that was full of bytes was so with few
	last := r.entries[len(r.entries)-n:]
	r.entries = append(make([]Entry, 0, max(room, 2*n)), last...)
	r.from, r.open, r.bytes = i-uint64(n), n, 0
	for k := range last {
		r.bytes += len(last[k].Data)
	}
}

// upTo returns the n entries before that at absolute index i, and that one; nil if not all are here.
func (r *run) upTo(i uint64, n int) []Entry {
	if i < r.from+uint64(n) || i >= r.from+uint64(len(r.entries)) {
		return nil
	}
	end := i - r.from + 1
	return r.entries[end-1-uint64(n) : end : end] // whoever appends to it gets a copy
}
