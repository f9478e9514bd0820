package zab

import (
	"sort"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// A learner that lacks more than the memory holds is served from the log, if the host can read that: the cursor is then below the memory, and what it passes
// over comes in reads of bounded size, each answered beside the loop. What follows the end of the present read is kept in memory, so that the cursor
// arrives. What was read is sent only if it is what comes next in this leader's history, nothing left out; otherwise a snapshot is sent instead.

// Read asks the host for entries of the log; Machine.ReadDone answers. Those up to UpTo are durable and applied.
type Read struct {
	ID    uint64
	After Zxid // the first one wanted has it for its Prev
	UpTo  Zxid // the last one that may be of use
	Bytes int  // as many entries as come to so much, each counted as its data and 64 bytes more, and at least one
	// Whole is set on the first read of many: all up to UpTo is wanted, and Rest bytes that are in memory will follow. The host may answer that it has
	// nothing, if a snapshot is less to send.
	Whole bool
	Rest  uint64
}

// maxRead is how many bytes one Read asks for.
const maxRead = 1 << 20

// older is a cursor below the memory.
type older struct {
	read  uint64 // under way, 0: none
	upTo  Zxid   // where it ends at the latest; what follows is held in memory
	half  Zxid   // end of the read before the last: the next waits for its acknowledgement
	begun bool   // the learner has been told what to keep
}

// fromLog lets a learner go on from the log behind l.sent.
func (m *Machine) fromLog(l *learnerState, begun bool) {
	l.older = &older{begun: begun, half: l.sent}
	l.open, l.openCommit = nil, nil
	l.streaming = begun
	m.readOlder(l)
}

// readOlder asks for the next entries, unless two reads are in the air already.
func (m *Machine) readOlder(l *learnerState) {
	o := l.older
	if o.read != 0 || l.acked < o.half && o.begun {
		return
	}
	if _, held := m.hist.after(o.upTo); !held || o.upTo <= l.sent {
		o.upTo = m.hist.base
	}
	m.reads++
	o.read = m.reads
	m.out.Reads = append(m.out.Reads, Read{
		ID: o.read, After: l.sent, UpTo: o.upTo, Bytes: max(1, min(m.cfg.Window/2, maxRead)),
		Whole: !o.begun, Rest: m.hist.bytes - m.hist.sizeTo(m.hist.first),
	})
}

// ReadDone answers a Read. No entries tell that there are none to be had: they have left the log, it is damaged, or a snapshot is less.
func (m *Machine) ReadDone(id uint64, entries []Entry) {
	if m.failed != nil || m.lead == nil {
		return
	}
	for _, l := range m.lead.learners {
		if l.older != nil && l.older.read == id {
			l.moved = m.lead.ticks
			m.readOf(l, entries)
			return
		}
	}
}

func (m *Machine) readOf(l *learnerState, entries []Entry) {
	o := l.older
	o.read = 0
	if !o.begun && (!l.promised || m.lead.phase < synchronising) {
		l.older = nil // the epoch is being renewed: synchronisation begins when that is done
		return
	}
	if !m.continues(l.sent, o.upTo, entries) {
		l.older = nil
		if o.begun {
			m.letGo(l) // in the middle: it begins again, with a snapshot
		} else {
			m.sendSnapshot(l)
		}
		return
	}
	if !o.begun {
		m.keepOnly(l, l.sent)
		o.begun, l.streaming = true, true
		m.served.Log++
	}
	o.half = l.sent
	m.sendOlder(l, entries)
	m.pump(l)
}

// continues reports whether entries are what follows z in this leader's history. A log that has a gap, or an entry that was cut, must not be sent for it.
func (m *Machine) continues(z, upTo Zxid, entries []Entry) bool {
	for i := range entries {
		e := &entries[i]
		gap := e.Prev != z && !mutant.On("log-gap-sent")
		if gap || e.Zxid <= z || e.Zxid > upTo || !m.hist.has(e.Zxid) {
			return false
		}
		z = e.Zxid
	}
	return len(entries) > 0
}

// has reports whether z is a zxid of the history, by the epochs alone.
func (h *history) has(z Zxid) bool {
	i := sort.Search(len(h.spans), func(i int) bool { return h.spans[i].Epoch >= z.Epoch() })
	return i < len(h.spans) && h.spans[i].Epoch == z.Epoch() && z.Counter() <= h.spans[i].Last
}

// sendOlder sends what was read, with NEWLEADER in its place.
func (m *Machine) sendOlder(l *learnerState, entries []Entry) {
	ld := m.lead
	for len(entries) > 0 {
		m.endInitial(l)
		n, size := 0, 0
		for n < len(entries) && size < m.cfg.MaxBatch && (n == 0 || entries[n-1].Zxid != ld.initial) {
			size += overhead + len(entries[n].Data)
			n++
		}
		m.send(l.id, &Propose{Session: l.session, Epoch: ld.epoch, Commit: m.committed, Entries: entries[:n:n]})
		l.sent = entries[n-1].Zxid
		entries = entries[n:]
	}
	m.endInitial(l)
}

// pumpOlder goes on above, where the memory begins, or asks for more.
func (m *Machine) pumpOlder(l *learnerState) {
	_, held := m.hist.after(l.sent)
	switch {
	case held:
		l.older = nil
		m.stream(l, l.sent)
	case mutant.On("log-ends-short") && l.older.read == 0:
		l.older = nil
		l.cursor, l.window = m.hist.first, m.hist.sizeTo(m.hist.first)
		m.pump(l)
	default:
		m.readOlder(l)
	}
}

// Served counts the learners that a member has begun to bring up to date, by the way in which it did.
type Served struct {
	Memory   uint64 // what they lacked was in memory
	Log      uint64 // was read back from the log
	Snapshot uint64 // came with a snapshot
	Resumed  uint64 // with one that an earlier attempt had begun to send
}

// Served returns what this member has done for learners since it began.
func (m *Machine) Served() Served { return m.served }
