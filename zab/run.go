package zab

// run is the newest entries of a leader's history as one slice that is only ever appended to: learners at the live edge are sent pieces of it, and
// nothing is copied for each of them. It is left to the messages that hold it, and begun anew, when it is full.
type run struct {
	from    uint64 // absolute index of the first
	entries []Entry
	bytes   int
}

const (
	runLen   = 128
	runBytes = 256 << 10 // what one message may keep in memory beside its own entries
)

func (r *run) push(i uint64, e Entry) {
	if len(r.entries) == cap(r.entries) || r.bytes > runBytes {
		*r = run{from: i, entries: make([]Entry, 0, runLen)}
	}
	r.entries = append(r.entries, e)
	r.bytes += len(e.Data)
}

// upTo returns the n entries before that at absolute index i, and that one; nil if not all are here.
func (r *run) upTo(i uint64, n int) []Entry {
	if i < r.from+uint64(n) || i >= r.from+uint64(len(r.entries)) {
		return nil
	}
	end := i - r.from + 1
	return r.entries[end-1-uint64(n) : end : end] // whoever appends to it gets a copy
}
