package zab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What the host of an actor does beside its loop: it takes snapshots in, and reads its log.

func (a *actor) asked(r Read) {
	text := fmt.Sprintf("behind %v up to %v, %d bytes", r.After, r.UpTo, r.Bytes)
	if r.Whole {
		text += fmt.Sprintf(", the whole and the %d bytes after it", r.Rest)
	}
	a.s.Tell("  %d reads its log %s", a.id, text)
	a.reads = append(a.reads, r)
}

// receive takes a piece over at once, but for the last, which has to be decoded.
func (s *stage) receive(a *actor, p Piece) {
	switch {
	case p.Snapshot == nil:
		a.part, a.load = nil, nil
		s.Tell("  %d drops what it has of a snapshot", a.id)
		return
	case p.Resume:
		p.Snapshot.Chunks = a.part.Chunks
		s.Tell("  %d goes on with the snapshot %v at chunk %d", a.id, p.Snapshot.Zxid, a.at.Chunk)
	case p.Begin:
		a.at = Position{}
	case p.Index != a.at.Chunk || p.Snapshot != a.part:
		s.Fatalf("chunk %d, not %d", p.Index, a.at.Chunk)
	default:
		p.Snapshot.Chunks = append(p.Snapshot.Chunks, p.Data)
		a.at = a.at.After(p.Data)
	}
	if a.part, a.load = p.Snapshot, nil; p.Last {
		a.load = p.Snapshot
		s.Tell("  %d has the snapshot %v: %d chunks, %d bytes", a.id, p.Snapshot.Zxid, len(p.Snapshot.Chunks), p.Snapshot.Length)
		return
	}
	at := a.at
	s.step(a, func(m *Machine) { m.Received(p.Snapshot, at, nil, nil) })
}

func (s *stage) decode(a *actor, damaged bool) {
	snap, at := a.load, a.at
	a.load = nil
	var state []string
	for _, c := range snap.Chunks {
		state = append(state, strings.Fields(string(c))...)
	}
	var err error
	if damaged {
		err = errors.New("damaged")
	}
	s.step(a, func(m *Machine) { m.Received(snap, at, state, err) })
}

// read answers what the member reads in its log: gone, all that there is, or that but for one entry.
func (s *stage) read(a *actor, gone bool, without Zxid) (n int) {
	reads := a.reads
	a.reads = nil
	for _, r := range reads {
		var got []Entry
		if !gone {
			got = a.logged(&r, without)
		}
		s.step(a, func(m *Machine) { m.ReadDone(r.ID, got) })
	}
	return len(reads)
}

func (a *actor) logged(r *Read, without Zxid) (got []Entry) {
	for _, x := range a.disk[:a.durable] {
		switch e := x.Entry; {
		case x.Kind == RecordReset:
			got = nil
		case x.Kind == RecordTrunc:
			got = slices.DeleteFunc(got, func(e Entry) bool { return e.Zxid > x.Zxid })
		case x.Kind == RecordEntry && e.Zxid > r.After && e.Zxid <= r.UpTo && e.Zxid != without:
			got = append(got, e)
		}
	}
	size := 0
	for i := range got {
		if size += len(got[i].Data) + overhead; size > r.Bytes && i > 0 {
			return got[:i]
		}
	}
	return got
}
