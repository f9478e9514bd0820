package ensemble

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// Stats counts what a node has done since Open. Nothing is registered anywhere: a host exports what it likes.
type Stats struct {
	Requests   uint64 // writes and syncs taken in
	Replies    uint64 // of them answered, refusals included
	Refused    uint64 // of them answered with an error
	Overloaded uint64 // calls given ErrOverloaded, not among Requests
	Abandoned  uint64 // calls whose context ended first

	FramesSent, BytesSent         uint64
	FramesReceived, BytesReceived uint64
	FramesDropped                 uint64 // on arrival, because too many waited

	Turns     uint64 // of the node's goroutine
	Steps     uint64 // inputs of the protocol machine
	Logged    uint64 // transactions written to the log
	Elections uint64 // times this node began to look for a leader
	Stalls    uint64 // turns that took longer than a tick

	// Learners that this node has begun to bring up to date while it led, by the way in which it did; as of the last tick.
	SyncedByMemory   uint64 // what they lacked was in memory
	SyncedByLog      uint64 // it was read back from the log of the data directory
	SyncedBySnapshot uint64 // they were sent the tree
	SnapshotsResumed uint64 // of these, those that went on where an earlier transfer was interrupted

	Reaped uint64 // containers and znodes with a TTL that this node has removed while it led

	Snapshots       uint64 // written to the data directory
	SnapshotsFailed uint64 // that could not be: see Status.SnapshotErr

	Latency Histogram // of answered writes and syncs, from call to answer
	Batch   Histogram // writes and syncs per turn that had any; counted as nanoseconds
}

// Histogram counts values by powers of two.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets [40]uint64 // Buckets[i] counts values below 1<<i nanoseconds that are in no lower bucket; the last one has no bound
}

// Mean returns the mean value, or 0.
func (h *Histogram) Mean() time.Duration {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / time.Duration(h.Count)
}

// Quantile returns a bound below which the share q of all values lies: exact to a factor of two. 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.Count))
	for i, n := range h.Buckets {
		if n > rank || n == rank && n > 0 {
			return 1 << i
		}
		rank -= n
	}
	return 0
}

// counters are written by the node's goroutine, but for the few that say otherwise, and read by anybody.
type counters struct {
	requests, replies, refused                   atomic.Uint64
	overloaded, abandoned                        atomic.Uint64 // by callers
	framesSent, bytesSent                        atomic.Uint64
	framesReceived, bytesReceived, framesDropped atomic.Uint64 // by the transport's goroutines
	turns, steps, logged, elections, stalls      atomic.Uint64
	byMemory, byLog, bySnapshot, resumed         atomic.Uint64
	snapshots, snapshotsFailed, reaped           atomic.Uint64
	latency, batch                               histogram
}

func (c *counters) serves(s zab.Served) {
	c.byMemory.Store(s.Memory)
	c.byLog.Store(s.Log)
	c.bySnapshot.Store(s.Snapshot)
	c.resumed.Store(s.Resumed)
}

type histogram struct {
	count, sum atomic.Uint64
	buckets    [40]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.count.Add(1)
	h.sum.Add(uint64(d))
	h.buckets[min(bits.Len64(uint64(d)), len(h.buckets)-1)].Add(1)
}

func (h *histogram) read() (out Histogram) {
	out.Count, out.Sum = h.count.Load(), time.Duration(h.sum.Load())
	for i := range h.buckets {
		out.Buckets[i] = h.buckets[i].Load()
	}
	return out
}

func (c *counters) read() Stats {
	return Stats{
		Requests: c.requests.Load(), Replies: c.replies.Load(), Refused: c.refused.Load(),
		Overloaded: c.overloaded.Load(), Abandoned: c.abandoned.Load(),
		FramesSent: c.framesSent.Load(), BytesSent: c.bytesSent.Load(),
		FramesReceived: c.framesReceived.Load(), BytesReceived: c.bytesReceived.Load(), FramesDropped: c.framesDropped.Load(),
		Turns: c.turns.Load(), Steps: c.steps.Load(), Logged: c.logged.Load(), Elections: c.elections.Load(), Stalls: c.stalls.Load(),
		SyncedByMemory: c.byMemory.Load(), SyncedByLog: c.byLog.Load(), SyncedBySnapshot: c.bySnapshot.Load(), SnapshotsResumed: c.resumed.Load(),
		Reaped:    c.reaped.Load(),
		Snapshots: c.snapshots.Load(), SnapshotsFailed: c.snapshotsFailed.Load(),
		Latency: c.latency.read(), Batch: c.batch.read(),
	}
}
