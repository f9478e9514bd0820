package ensemble

import "sync/atomic"

// flight counts the calls that wait at a node, in its queue or for their answers, and the bytes of their requests: both in one word, so that they cost one step.
type flight struct{ word atomic.Int64 }

// flightBits hold the calls: mostFlight of them, and those that are about to be told that they are too many.
const flightBits = 24

// join counts c in, and returns what there is then.
func (f *flight) join(c *call) (calls, bytes int64) {
	w := f.word.Add(c.weight())
	return w & (1<<flightBits - 1), w >> flightBits
}

// leave counts c out. Its payload is still that with which it was counted in.
func (f *flight) leave(c *call) { f.word.Add(-c.weight()) }

// calls returns how many there are.
func (f *flight) calls() int64 { return f.word.Load() & (1<<flightBits - 1) }

// weight is what the call counts. What no answer is expected to does not.
func (c *call) weight() int64 {
	if c.kind == giveUp || c.kind == leaveOff {
		return 0
	}
	return int64(len(c.payload))<<flightBits + 1
}
