package zab

import (
	"encoding/binary"
	"hash/crc64"

	"github.com/ensemble-go/ensemble/quorum"
)

// SnapshotID names one sequence of chunks. Two snapshots of the same state need not be cut alike, so only chunks of one ID belong together. Zero is none.
type SnapshotID [16]byte

// Position is a place between two chunks of a snapshot, named by all that is before it.
type Position struct {
	Chunk  uint32 // index of the chunk that comes next
	Length uint64 // bytes of those before
	Digest uint64 // their CRC-64 (ECMA)
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// After returns the position behind a chunk that comes at p.
func (p Position) After(chunk []byte) Position {
	return Position{p.Chunk + 1, p.Length + uint64(len(chunk)), crc64.Update(p.Digest, crcTable, chunk)}
}

// chunksAhead is how many chunks of a snapshot a learner has in flight, and its leader in memory.
const chunksAhead = 8

// transfer is a snapshot on its way to a learner. When the link is lost it waits for the learner to come back and to go on where it was.
type transfer struct {
	reader SnapshotReader // nil when the last chunk is read
	snap   Snapshot       // as told in SYNC
	at     Position       // of the reader
	kept   []keptChunk    // read, and perhaps not arrived
	next   uint32         // to be sent
	begun  bool           // in this session
}

type keptChunk struct {
	at   Position
	data []byte
	last bool
}

func (t *transfer) close() {
	if t != nil && t.reader != nil {
		t.reader.Close()
		t.reader = nil
	}
}

// taken forgets what has arrived. It reports whether the learner has the very chunks that this transfer has sent.
func (t *transfer) taken(at Position) bool {
	for len(t.kept) > 0 && t.kept[0].at.Chunk < at.Chunk {
		t.kept = t.kept[1:]
	}
	here := t.at
	if len(t.kept) > 0 {
		here = t.kept[0].at
	}
	return at == here
}

// chunk returns the next to be sent.
func (t *transfer) chunk() (keptChunk, error) {
	if n := t.at.Chunk - t.next; n > 0 {
		return t.kept[len(t.kept)-int(n)], nil
	}
	data, last, err := t.reader.Next()
	if err != nil {
		return keptChunk{}, err
	}
	c := keptChunk{t.at, data, last}
	t.kept = append(t.kept, c)
	t.at = t.at.After(data)
	if last {
		t.close()
	}
	return c, nil
}

// waitingTransfer is one whose learner was lost.
type waitingTransfer struct {
	*transfer
	learner quorum.ID
	until   int // tick of the leader
}

// sendSnapshot begins to bring a learner a snapshot of the applied state, or goes on with the one that its last attempt has begun. It is never older than
// what both histories have in common, since only what is applied has left the memory.
func (m *Machine) sendSnapshot(l *learnerState) {
	t := m.resumable(l)
	if t == nil {
		t = &transfer{reader: m.host.Snapshot(), snap: Snapshot{
			Zxid: m.applied, Spans: spansUpTo(m.hist.spans, m.applied), Members: append([]Readmitted(nil), m.readmitted...),
		}}
		binary.BigEndian.PutUint64(t.snap.ID[:8], uint64(l.session)) // which no two attempts share
		binary.BigEndian.PutUint64(t.snap.ID[8:], uint64(m.applied))
	}
	l.transfer, l.snapZxid = t, t.snap.Zxid
	m.send(l.id, &Sync{
		Session: l.session, Epoch: m.lead.epoch, Snapshot: true, Common: l.keep, ID: t.snap.ID, Zxid: t.snap.Zxid, Spans: t.snap.Spans, Members: t.snap.Members,
	})
}

// resumable returns what waits for the learner, if it can do with that.
func (m *Machine) resumable(l *learnerState) *transfer {
	t := m.unpark(l.id)
	if t != nil && t.snap.Zxid < l.keep {
		t.close()
		return nil
	}
	return t
}

// park keeps the unfinished transfer of a learner that was lost.
func (m *Machine) park(l *learnerState) {
	t := l.transfer
	l.transfer = nil
	if t == nil || t.at.Chunk == 0 {
		t.close()
		return
	}
	t.begun = false
	m.lead.parked = append(m.lead.parked, waitingTransfer{t, l.id, m.lead.ticks + m.cfg.InitLimit})
}

func (m *Machine) unpark(id quorum.ID) *transfer {
	ld := m.lead
	for i, p := range ld.parked {
		if p.learner == id {
			ld.parked = append(ld.parked[:i:i], ld.parked[i+1:]...)
			return p.transfer
		}
	}
	return nil
}

// fetch sends the chunks that were asked for: the learner sets the pace, by what it has taken over.
func (m *Machine) fetch(l *learnerState, x *Fetch) {
	t := l.transfer
	if t == nil {
		return
	}
	// What the learner has may be of another sequence, or gone; then another one begins. It has yet to be told which chunk is the last.
	if !t.taken(x.At) || x.At == t.at && t.reader == nil {
		if t.begun || !l.promised || m.lead.phase < synchronising {
			m.abandon(l)
			return
		}
		t.close()
		m.sendSnapshot(l)
		return
	}
	if !t.begun {
		t.begun, t.next = true, x.At.Chunk
		m.served.Snapshot++
		if t.next > 0 {
			m.served.Resumed++
		}
	}
	t.next = max(t.next, x.At.Chunk) // who had less when this session began has it from an earlier one
	for upto := min(x.Upto, x.At.Chunk+chunksAhead); t.next < upto && (t.reader != nil || t.next < t.at.Chunk); t.next++ {
		c, err := t.chunk()
		if err != nil {
			m.abandon(l)
			return
		}
		m.progress(l)
		msg := &Chunk{Session: l.session, Index: c.at.Chunk, Data: c.data, Last: c.last}
		if c.last {
			end := c.at.After(c.data)
			msg.Length, msg.Digest = end.Length, end.Digest
		}
		m.send(l.id, msg)
	}
}

// abandon ends a transfer that cannot go on, and the learner's attempt with it.
func (m *Machine) abandon(l *learnerState) {
	l.transfer.close()
	l.transfer = nil
	m.letGo(l)
}
