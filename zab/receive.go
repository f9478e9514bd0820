package zab

import "github.com/ensemble-go/ensemble/internal/mutant"

// A learner takes a snapshot in piece by piece: the host decodes each, keeps it where it keeps such things, and tells how far it is, which lets the leader
// send more. So a learner holds a window of chunks and the state that becomes of them, never all chunks. The state that is there goes on serving until the
// new one is whole, decoded, and its RESET durable. When an attempt ends before that, the next one goes on with what the host has, if the leader still
// has the same sequence of chunks.

// Piece is one step in receiving a snapshot. Received answers those of one Snapshot, several at once if that is convenient.
type Piece struct {
	Snapshot *Snapshot // which one: the same for all pieces of an attempt and for the RESET after it; nil: what is there of one is of no use any more
	Begin    bool      // nothing of it yet: where does the host go on?
	Resume   bool      // with Begin: it is the one before this, whose attempt ended. Otherwise what is there of that is of no use
	Index    uint32
	Data     []byte
	Last     bool
}

// sync cuts the history to what it has in common with the leader's, or begins to fetch a snapshot.
func (m *Machine) sync(l *learner, x *Sync) {
	another := x.Snapshot && l.receiving != nil && !l.whole && l.receiving.ID != x.ID // the leader had not kept what this member has
	if x.Epoch != l.epoch || l.synced || l.receiving != nil && !another {
		return
	}
	l.moved = l.ticks
	if x.Snapshot {
		m.beginReceiving(l, x)
		return
	}
	if x.Keep < m.committed {
		m.fail(ErrCommittedTruncated)
		return
	}
	if _, ok := m.hist.after(x.Keep); !ok {
		m.endRole()
		return
	}
	m.forgetPart()
	l.synced = true
	if x.Keep < m.hist.last() {
		m.truncate(x.Keep)
	}
	if mutant.On("join-before-history") && m.mark.Promised == x.Epoch {
		m.Write(func(k *Mark) { k.Joined = x.Epoch })
	}
	m.ackUpTo(l)
}

func (m *Machine) beginReceiving(l *learner, x *Sync) {
	if m.mark.Counts && x.Zxid < x.Common && !mutant.On("old-snapshot") {
		m.endRole() // it would go back behind what this member may have acknowledged (trace F3 of the model)
		return
	}
	if x.Zxid < m.committed && m.mark.Spoilt {
		m.endRole() // the leader has not applied yet what this member knows to be committed: again, when it has
		return
	}
	if x.Zxid < m.committed {
		m.fail(ErrCommittedTruncated)
		return
	}
	s := &Snapshot{ID: x.ID, Zxid: x.Zxid, Spans: x.Spans, Members: x.Members}
	same := m.part != nil && m.part.Length == 0 && x.ID != SnapshotID{} && (m.part.ID == x.ID || mutant.On("resume-another"))
	l.receiving, l.begun, m.part = s, false, s
	m.out.Pieces = append(m.out.Pieces, Piece{Snapshot: s, Begin: true, Resume: same})
}

// mostSnapshot is how many bytes of a snapshot are received: far above what a tree in memory comes to.
const mostSnapshot = 64 << 30

// chunk hands out the next piece. What came before it may still be with the host.
func (m *Machine) chunk(l *learner, x *Chunk) {
	s := l.receiving
	if s == nil || !l.begun || l.whole || x.Index != l.at.Chunk {
		return
	}
	if uint64(len(x.Data)) > m.maxSnapshot-l.at.Length {
		m.forgetPart()
		m.fail(ErrSnapshotTooLarge) // it will be no smaller the next time
		return
	}
	l.moved = l.ticks
	l.at = l.at.After(x.Data)
	if x.Last {
		if l.at.Length != x.Length || l.at.Digest != x.Digest {
			m.forgetPart()
			m.endRole()
			return
		}
		s.Length, s.Digest, l.whole = x.Length, x.Digest, true
	}
	m.out.Pieces = append(m.out.Pieces, Piece{Snapshot: s, Index: x.Index, Data: x.Data, Last: x.Last})
}

// Received tells how far the host has come with a snapshot: it has taken over all before at, and when that is all there is, state is what came of it. Then
// the RESET is written, and the state replaced when that is durable. After an error the host has nothing of the snapshot.
func (m *Machine) Received(s *Snapshot, at Position, state any, err error) {
	l := m.learn
	if err != nil && m.part == s {
		m.part = nil
	}
	if m.failed != nil || l == nil || l.receiving != s || m.install != nil {
		return
	}
	l.moved = l.ticks
	switch {
	case err != nil:
		m.endRole()
	case l.whole && at == l.at:
		m.reset(l, s, state)
	default:
		if !l.begun {
			l.begun, l.at = true, at
		}
		l.taken = at.Chunk
		if !l.whole {
			m.send(l.leader, &Fetch{l.session, at, at.Chunk + chunksAhead})
		}
	}
}

func (m *Machine) reset(l *learner, s *Snapshot, state any) {
	m.pendingReadmits = nil
	id := m.issue(Record{Kind: RecordReset, Zxid: s.Zxid, Snapshot: s})
	m.hist.restart(s, id)
	m.lastDone = 0
	m.install = &install{id, s, state}
	l.synced = true
	if mutant.On("installed-early") {
		m.send(l.leader, &Installed{l.session})
	}
	if mutant.On("snapshot-acked-early") {
		m.hist.reset, m.lastDone = 0, s.Zxid
		i := m.install
		m.install = nil
		m.installed(i)
		m.ackUpTo(l)
	}
}

// forgetPart tells the host that what it has of a snapshot is of no use any more.
func (m *Machine) forgetPart() {
	if m.part != nil {
		m.part = nil
		m.out.Pieces = append(m.out.Pieces, Piece{})
	}
}
