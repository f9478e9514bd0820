package sim

import (
	"errors"
	"slices"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// What a member does beside its loop, each thing in its own time: it reads older history in its log, and takes in the pieces of a snapshot.

// reception is what a member has of a snapshot that is on its way to it. It ends with the run.
type reception struct {
	snap *zab.Snapshot
	file *snapshot.Receiver // nil without a disk, and when all is there
	at   zab.Position
	done Time // when the last of the pieces under way is taken
}

// offLoop begins what an output asks for.
func (w *World) offLoop(n *node, out *output) {
	for _, r := range out.Reads {
		w.push(event{at: w.now + between(w.disk, w.cfg.DiskMin, w.cfg.DiskMax+w.cfg.Tick/8), kind: evRead, node: int32(n.idx), run: n.run, msg: r})
	}
	for _, p := range out.Pieces {
		r := &n.receives
		r.done = max(r.done, w.now+between(w.disk, w.cfg.DiskMin, w.cfg.DiskMax+w.cfg.Tick/8))
		w.push(event{at: r.done, kind: evPiece, node: int32(n.idx), run: n.run, msg: p})
	}
}

// takePiece keeps a piece, and decodes all of them with the last. With a disk it is written, too, and what an earlier run has of the same snapshot is used again.
func (w *World) takePiece(n *node, p zab.Piece) {
	r, d := &n.receives, &n.drive
	if d.dead || !d.model() && !w.keepPiece(n, &p) {
		return
	}
	switch {
	case p.Snapshot == nil:
		r.snap = nil
		return
	case p.Begin && p.Resume:
		p.Snapshot.Chunks = slices.Clone(r.snap.Chunks)
	case p.Begin && d.model():
		r.at = zab.Position{}
	case p.Begin:
		r.at = zab.Position(r.file.Position())
		if r.at.Chunk > 0 {
			w.cover("part of an earlier run used again")
		}
	case r.snap != p.Snapshot || r.at.Chunk != p.Index:
		w.fail("inv/PIECE", "member %d is given chunk %d, and the next is %d", n.id, p.Index, r.at.Chunk)
	default:
		p.Snapshot.Chunks = append(p.Snapshot.Chunks, p.Data)
		r.at = r.at.After(p.Data)
	}
	r.snap = p.Snapshot
	t := &core.Taken{Snapshot: p.Snapshot, At: r.at}
	if p.Last {
		t.State, t.Err = n.sm.Decode(p.Snapshot.Chunks)
		if !d.model() {
			d.store.Hold(r.file) // for the RESET
			r.file = nil
		}
	}
	n.put(w, inbound{lane: lanePersisted, msg: t})
}

// keepPiece does on the disk what a piece asks for. It reports whether that went well.
func (w *World) keepPiece(n *node, p *zab.Piece) bool {
	r, d := &n.receives, &n.drive
	err := d.failing(func() (err error) {
		switch {
		case p.Snapshot == nil || p.Begin && !p.Resume:
			if r.file != nil {
				r.file.Abort()
				r.file = nil
			}
			d.store.Hold(nil)
			if p.Snapshot == nil {
				return nil
			}
			s := p.Snapshot
			m := snapshot.Meta{ID: snapshot.ID(s.ID), Ensemble: n.m.Zab().Mark().Ensemble, Zxid: s.Zxid, Spans: s.Spans, Members: s.Members}
			r.file, err = d.store.States.Receive(m, func(chunk []byte) error {
				s.Chunks = append(s.Chunks, slices.Clone(chunk))
				return nil
			})
			return err
		case p.Begin:
			return nil
		}
		return r.file.Add(p.Index, p.Data)
	})
	if err != nil {
		w.logFailed(n, err)
	}
	return err == nil
}

// recall answers a read of older history. Now and then a snapshot is said to be less, or the log has a gap: no implementation here makes one, but a disk may.
func (w *World) recall(n *node, r zab.Read) {
	entries := w.older(n, &r)
	switch {
	case w.healed != 0:
	case w.disk.IntN(12) == 0:
		entries = nil
	case len(entries) > 2 && w.disk.IntN(12) == 0:
		w.cover("log with a gap")
		i := 1 + w.disk.IntN(len(entries)-2)
		entries = slices.Delete(entries, i, i+1)
	}
	n.put(w, inbound{lane: lanePersisted, msg: &core.Recalled{ID: r.ID, Entries: entries}})
}

// older reads the log, and compares what it says with the store.
func (w *World) older(n *node, r *zab.Read) []zab.Entry {
	d := &n.drive
	var have []zab.Entry
	if r.After >= n.disk.base() {
		for _, e := range n.disk.entries {
			if e.Zxid > r.After && e.Zxid <= r.UpTo {
				have = append(have, e)
			}
		}
	}
	if d.model() {
		size := 0
		for i := range have {
			if size += len(have[i].Data) + 64; size > r.Bytes && i > 0 {
				return have[:i]
			}
		}
		return have
	}
	if d.dead || d.store == nil {
		return nil
	}
	got, err := d.store.Log.Entries(r.After, r.UpTo, r.Bytes)
	if errors.Is(err, wal.ErrGone) {
		return nil
	}
	if err != nil || len(got) > len(have) {
		w.fail("inv/DISK", "the log of member %d reads %d entries behind %v up to %v, not %d: %v", n.id, len(got), r.After, r.UpTo, len(have), err)
	}
	for i := range got {
		if !sameEntry(&got[i], &have[i]) {
			w.fail("inv/DISK", "the log of member %d reads %+v, not %+v", n.id, got[i], have[i])
		}
	}
	return got
}

// served is what a leader has told a learner in one session.
type served struct {
	session zab.Session
	last    zab.Zxid // that the learner has, when all has arrived
	id      zab.SnapshotID
	fetched bool
}

// serving judges what leaders bring learners up to date with: every entry follows the one before it, and every snapshot is of one sequence of chunks.
type serving struct {
	sessions map[[2]quorum.ID]*served // by leader and learner
	pieces   map[zab.SnapshotID][]zab.Position
}

func newServing() serving {
	return serving{map[[2]quorum.ID]*served{}, map[zab.SnapshotID][]zab.Position{}}
}

// sendsRight checks what a leader sends to a learner.
func (w *World) sendsRight(n *node, to quorum.ID, msg any) {
	t := w.sessions[[2]quorum.ID{n.id, to}]
	switch x := msg.(type) {
	case *zab.Sync:
		t = &served{session: x.Session, last: x.Keep, id: x.ID}
		if x.Snapshot {
			t.last = x.Zxid
		} else if x.Keep < n.m.Zab().Base() {
			w.cover("DIFF from the log")
		}
		w.sessions[[2]quorum.ID{n.id, to}] = t
	case *zab.Propose:
		for i := range x.Entries {
			e := &x.Entries[i]
			if t == nil || t.session != x.Session || e.Prev != t.last {
				w.fail("inv/Z8", "leader %d sends member %d %v, which follows %v, and it has been told %+v", n.id, to, e.Zxid, e.Prev, t)
			}
			t.last = e.Zxid
		}
	case *zab.Chunk:
		seq := w.pieces[t.id]
		if seq == nil {
			seq = []zab.Position{{}}
		}
		if int(x.Index) == len(seq)-1 {
			w.pieces[t.id] = append(seq, seq[x.Index].After(x.Data))
		}
	case *zab.Fetch: // of the learner
		t = w.sessions[[2]quorum.ID{to, n.id}]
		if t == nil || t.session != x.Session {
			return
		}
		if x.At.Chunk > 0 {
			if seq := w.pieces[t.id]; int(x.At.Chunk) >= len(seq) || seq[x.At.Chunk] != x.At {
				w.fail("inv/Z16", "member %d has %+v of a snapshot that leader %d has sent otherwise", n.id, x.At, to)
			}
			if !t.fetched {
				w.cover("snapshot resumed")
			}
		}
		t.fetched = true
	}
}
