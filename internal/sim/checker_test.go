package sim

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// frozen stops all members, as it is where too many disks are lost, and notes how the world stands then.
func frozen(w *World) {
	for _, m := range w.nodes {
		w.down(m, thenRestart)
	}
	w.frozen = w.still()
}

// A corruption takes what holds and breaks it: the invariant of the name must say so. A check that cannot fail is worth nothing.
type corruption struct {
	want, what string
	do         func(w *World, n *node)
}

var corruptions = []corruption{
	{"inv/Z1", "another leader of the same epoch", func(w *World, n *node) {
		e := n.m.Zab().Epoch()
		w.leaders[e] = reign{n.id + 1, 1}
		n.watch.est = false
		w.changed(n, zab.Leading, e, true)
	}},
	{"inv/Z2", "a mark goes back", func(w *World, n *node) {
		m := n.image.mark
		m.Promised--
		m.Joined--
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z2", "an epoch promised twice", func(w *World, n *node) {
		e := n.disk.mark.Promised
		w.promises[promise{n.disk.mark.Incarnation, e}] = 9
		w.sent(n, &core.Send{To: 1, Message: &zab.AckEpoch{Epoch: e, Promise: true, Counts: true}})
	}},
	{"inv/Z2", "a promise that is not durable", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.AckEpoch{Epoch: n.disk.mark.Promised + 1, Promise: true, Counts: true}})
	}},
	{"inv/Z2", "an epoch opened before it is joined", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.NewLeader{Epoch: n.disk.mark.Joined + 1}})
	}},
	{"inv/Z4", "a counter beyond its end", func(w *World, n *node) {
		w.cfg.MaxCounter = 1
		l := n.image.last()
		w.issued(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 1, Prev: l}})
	}},
	{"inv/Z20", "a member that readmits itself", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Counts, m.Incarnation[0] = false, m.Incarnation[0]+1
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "an epoch without promises", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Joined--
		clear(w.backers)
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "a second ensemble", func(w *World, n *node) {
		m := n.disk.mark
		m.Ensemble[0]++
		w.durable(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "a leader where none may be", func(w *World, n *node) { w.halts() }},
	{"inv/Z20", "ready where nobody may be", func(w *World, n *node) {
		w.down(n, thenRestart)
		w.halts()
	}},
	{"inv/Z10", "commits where none may be", func(w *World, n *node) {
		frozen(w)
		w.frozen.committed--
		w.halts()
	}},
	{"inv/C6", "confirmed where nothing may be", func(w *World, n *node) {
		frozen(w)
		w.frozen.confirmed--
		w.halts()
	}},
	{"inv/C1", "a write acknowledged by nobody's history", func(w *World, n *node) {
		frozen(w)
		w.calls = append(w.calls, &call{done: true, req: &request{}})
		w.halts()
	}},
	{"inv/E1", "who has no weight stands", func(w *World, n *node) {
		members := w.cfg.members()
		for i := range members {
			members[i].Group, members[i].Weight = 1, 1
		}
		members[n.idx].Weight = 0
		var err error
		if w.verifier, err = quorum.New(members); err != nil {
			panic(err)
		}
		w.electedByRight(n, zab.Leading)
	}},
	{"inv/Z10", "committed by no quorum of groups", func(w *World, n *node) {
		members := w.cfg.members()
		for i := range members {
			members[i].Group, members[i].Weight = 1, 1
		}
		members[n.idx].Weight = 3
		var err error
		if w.verifier, err = quorum.New(members); err != nil {
			panic(err)
		}
		n.disk.mark.Counts = false // a majority of the others holds it all the same
		n.past = nil
		w.onDisks(n, w.lastCommitted(), 0)
	}},
	{"inv/Z22", "an epoch by the promise of a fresher member", func(w *World, n *node) {
		m := n.image.mark
		n.image.mark.Joined--
		clear(w.behind)
		w.issued(n, &zab.Record{Kind: zab.RecordMark, Mark: m})
	}},
	{"inv/Z20", "ready and blank", func(w *World, n *node) {
		n.disk.mark.Counts = false
		n.out.Changed, n.out.Status.Ready = true, true
		w.readyByRight(n)
	}},
	{"inv/Z19", "an answer in a session of the past", func(w *World, n *node) {
		x := core.Send{To: 2, Message: &zab.Commit{}}
		n.watch.lead[1] = 2
		w.inSession(n, 2, &zab.Ack{Session: 1}, zab.Leading, n.id, 0, []core.Send{x})
	}},
	{"inv/Z21", "a voter shut out", func(w *World, n *node) {
		n.watch.above = 1 << 30
		for range 3 {
			w.shutsNobodyOut(n, zab.Leading, n.watch.epoch, true)
		}
	}},
	{"inv/E1", "a candidate whose voters are gone", func(w *World, n *node) {
		n.watch.hearing.clear()
		w.electedByRight(n, zab.Leading)
	}},
	{"inv/E1", "a leader that was never heard", func(w *World, n *node) {
		for _, f := range w.nodes {
			if f.watch.role == zab.Following {
				f.watch.hearing.clear()
				w.electedByRight(f, zab.Following)
			}
		}
	}},
	{"inv/E2", "a vote for what is not durable", func(w *World, n *node) {
		v := election.Vote{Leader: n.id, Epoch: n.disk.mark.Joined, Zxid: n.disk.last() + 1}
		w.sent(n, &core.Send{To: 1, Message: &election.Notification{State: election.Looking, Vote: v}})
	}},
	{"inv/E2", "who asks to be led with a mark that is not durable", func(w *World, n *node) {
		n.image.mark.Promised++
		w.sent(n, &core.Send{To: 1, Message: &zab.FollowerInfo{Promised: n.image.mark.Promised}})
	}},
	{"inv/Z23", "a birth that is not known to be complete", func(w *World, n *node) {
		n.disk.mark.Born = false
		w.sent(n, &core.Send{To: 1, Message: &core.Birth{Ensemble: n.disk.mark.Ensemble, Counts: true, Born: true, Promised: true}})
	}},
	{"inv/Z23", "a founder that has not written the id", func(w *World, n *node) {
		x := &core.Birth{Ensemble: n.disk.mark.Ensemble, Born: true, Promised: true}
		n.disk.mark.Ensemble = zab.EnsembleID{}
		w.sent(n, &core.Send{To: 1, Message: x})
	}},
	{"inv/Z11", "a snapshot installed before its RESET is durable", func(w *World, n *node) {
		n.image.snap = &zab.Snapshot{Zxid: n.disk.last()}
		w.sent(n, &core.Send{To: 1, Message: &zab.Installed{}})
	}},
	{"inv/Z3", "an entry above the promised epoch", func(w *World, n *node) {
		w.durable(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: zab.MakeZxid(9999, 1), Prev: n.disk.last()}})
	}},
	{"inv/Z4", "a gap in the log", func(w *World, n *node) {
		l := n.image.last()
		w.issued(n, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 2, Prev: l}})
	}},
	{"inv/Z5", "another entry at a committed place", func(w *World, n *node) { w.log[len(w.log)-1].hash++; w.audit() }},
	{"inv/Z6", "an entry applied twice", func(w *World, n *node) {
		n.sm.delivered = []delivery{{zxid: w.lastCommitted()}}
		w.deliveries(n)
	}},
	{"inv/Z7", "an entry that nobody proposed", func(w *World, n *node) {
		f := w.nodes[n.idx%w.cfg.Voters+0]
		for _, m := range w.nodes {
			if m.watch.role == zab.Following {
				f = m
			}
		}
		l := f.image.last()
		w.issued(f, &zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: l + 1, Prev: l}})
	}},
	{"inv/Z9", "a leader without a committed entry", func(w *World, n *node) {
		n.image.entries = nil
		n.image.snap = nil
		n.watch.est = false
		delete(w.leaders, n.m.Zab().Epoch()+1)
		w.changed(n, zab.Leading, n.m.Zab().Epoch()+1, true)
	}},
	{"inv/Z10", "a commit that only one store holds", func(w *World, n *node) {
		for _, m := range w.nodes {
			if m != n {
				m.disk.entries, m.disk.snap, m.past = nil, nil, nil
			}
		}
		w.onDisks(n, w.lastCommitted(), 0)
	}},
	{"inv/Z10", "a commit that only one store has joined", func(w *World, n *node) {
		for _, m := range w.nodes {
			if m != n {
				m.disk.mark.Joined, m.past = 0, nil
			}
		}
		w.onDisks(n, w.lastCommitted(), 0)
	}},
	{"inv/DUR", "a fresh store without a committed entry", func(w *World, n *node) {
		n.disk.entries, n.disk.snap = nil, nil
		n.disk.mark.Joined += 5
		w.checkDurability()
	}},
	{"inv/Z11", "an ack ahead of the store", func(w *World, n *node) {
		w.sent(n, &core.Send{To: 1, Message: &zab.Ack{Zxid: n.disk.last() + 1}})
	}},
	{"inv/Z12", "a committed entry cut", func(w *World, n *node) {
		w.durable(n, &zab.Record{Kind: zab.RecordTrunc, Zxid: n.disk.last() - 1})
	}},
	{"inv/DISK", "an entry lost that was durable", func(w *World, n *node) {
		n.disk.apply(&zab.Record{Kind: zab.RecordEntry, Pos: n.disk.pos + 1, Entry: zab.Entry{Zxid: n.disk.last() + 1, Prev: n.disk.last()}})
		n.drive.crash(true)
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "an entry that is not the one written", func(w *World, n *node) {
		e := &n.disk.entries[len(n.disk.entries)-1]
		e.Data = append(slices.Clone(e.Data), 1)
		n.drive.crash(true)
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "a promise lost that was durable", func(w *World, n *node) {
		n.disk.mark.Promised++
		n.drive.crash(true)
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "a snapshot that the log names and that is not there", func(w *World, n *node) {
		chunk := []byte("state")
		r := zab.Record{Kind: zab.RecordReset, Pos: n.disk.pos + 1, Snapshot: &zab.Snapshot{
			Zxid: n.disk.last(), Length: 5, Digest: crc64.Checksum(chunk, crc64.MakeTable(crc64.ECMA)),
		}}
		received, err := n.drive.store.States.Receive(snapshot.Meta{Ensemble: n.disk.mark.Ensemble, Zxid: n.disk.last()}, nil)
		failing(w, err)
		failing(w, received.Add(0, chunk))
		n.drive.store.Hold(received)
		failing(w, n.drive.write([]zab.Record{r}, func(zab.WriteID) {}))
		n.disk.apply(&r)
		n.drive.crash(true)
		names, _ := n.drive.mem.Files()
		for _, name := range names {
			if strings.HasSuffix(name, ".snap") {
				failing(w, n.drive.mem.Remove(name))
			}
		}
		failing(w, n.drive.mem.SyncDir(snapsDir))
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "damage at rest", func(w *World, n *node) {
		n.drive.crash(true)
		names, _ := n.drive.mem.Files()
		for _, name := range names {
			if strings.HasSuffix(name, ".log") {
				failing(w, n.drive.mem.FlipBit(name, 300))
			}
		}
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "a snapshot of another state", func(w *World, n *node) {
		rewrite(w, "/zookeeper/quota")
		n.drive.crash(true)
		w.reopen(n, nil, 0)
	}},
	{"inv/DISK", "a snapshot with other epochs", func(w *World, n *node) {
		n.drive.found.Snapshot = &zab.Snapshot{}
		n.drive.crash(true)
		w.reopen(n, nil, 0) // well
		n.drive.found.Snapshot.Spans = nil
		w.checkSnapshot(n)
	}},
	{"inv/DISK", "a snapshot beyond the history", func(w *World, n *node) {
		n.drive.crash(true)
		w.reopen(n, nil, 0) // well
		n.drive.found.Snapshot.Zxid++
		if _, err := n.survived(nil, 0); err != nil {
			w.fail("inv/DISK", "%v", err)
		}
	}},
	{"inv/DISK", "more lost than the blind spot hides", func(w *World, n *node) {
		prior := n.disk
		n.prior, n.batch, n.lastPos, n.lastAt = &prior, nil, n.disk.pos, n.drive.now()
		for range 2 {
			n.disk.apply(&zab.Record{Kind: zab.RecordEntry, Pos: n.disk.pos + 1, Entry: zab.Entry{Zxid: n.disk.last() + 1, Prev: n.disk.last()}})
		}
		n.prior.pos++                                                                                 // the last batch is only one of them
		for damages[rand.New(rand.NewPCG(n.drive.hurt, 0xda)).IntN(len(damages))] != "slot flipped" { // which costs nothing
			n.drive.hurt++
		}
		n.drive.crash(true)
		w.reopen(n, nil, 0)
	}},
	{"inv/Z10", "disks that lost a commit", func(w *World, n *node) {
		images := imagesOf(w)
		w.judgeImages(images) // well
		for i := range images {
			if w.nodes[i] != n {
				images[i].entries, images[i].snap, w.nodes[i].past = nil, nil, nil
			}
		}
		w.judgeImages(images)
	}},
	{"inv/Z10", "a disk that does not start any more", func(w *World, n *node) {
		for _, slot := range []string{"/mark.0", "/mark.1"} {
			failing(w, n.drive.mem.FlipBit(driveDir+slot, 8*20))
		}
		w.powerLossNow()
	}},
	{"inv/DUR", "a fresh disk that lost a commit", func(w *World, n *node) {
		images := imagesOf(w)
		images[n.idx].entries, images[n.idx].snap = nil, nil
		images[n.idx].mark.Joined += 5
		w.judgeImages(images)
	}},
	{"inv/Z11", "an ack ahead of the disk", func(w *World, n *node) {
		for range 100 * imageOfAcks {
			w.acknowledges(n, n.disk.last()+1)
		}
	}},
	{"inv/R1", "more waits than may", func(w *World, n *node) {
		for range w.cfg.MaxInFlight + 1 {
			w.newCall(n, callWrite).handed = true
		}
		w.checkQueues(n)
	}},
	{"inv/R2", "a file left open", func(w *World, n *node) {
		_, err := n.drive.mem.Open(driveDir + "/mark.0")
		failing(w, err)
		w.checkFiles(n)
	}},
	{"inv/R2", "a log that lets nothing go", func(w *World, n *node) {
		w.checkRetention(n) // well
		s, err := snapshot.Open(snapshot.Options{Dir: "/elsewhere", FS: n.drive.mem, Random: w.media.Uint64})
		failing(w, err)
		n.drive.store.States = s // that needs nothing of the log
		w.checkRetention(n)
	}},
	{"inv/R2", "snapshots that nobody removes", func(w *World, n *node) { n.drive.keep = -1; w.checkRetention(n) }},
	{"inv/R3", "history that nobody needs in memory", func(w *World, n *node) {
		for _, f := range w.nodes {
			w.checkQueues(f) // well
		}
		w.cfg.MaxTail = -1
		for _, f := range w.nodes {
			f.watch.appliedHere = true
			w.checkQueues(f)
		}
	}},
	{"inv/Z13", "the commit position goes back", func(w *World, n *node) {
		w.commits(n, n.watch.committed-1, &core.Tick{}, 0, zab.Leading, 0)
	}},
	{"inv/Z14", "a follower commits by itself", func(w *World, n *node) {
		for _, f := range w.nodes {
			if f.watch.role == zab.Following {
				w.commits(f, f.watch.committed+1, &core.Tick{}, 0, zab.Following, 0)
			}
		}
	}},
	{"inv/Z15", "a leader that hears nobody", func(w *World, n *node) {
		n.watch.ticks += 1000
		w.contact(n, zab.Leading, 1, true)
	}},
	{"inv/Z16", "another state at the same place", func(w *World, n *node) {
		w.digests[w.lastCommitted()]++
		n.watch.given--
		e := w.log[len(w.log)-1]
		n.sm.delivered = []delivery{{zxid: e.zxid, hash: e.hash, data: e.data, digest: n.sm.Digest()}}
		w.deliveries(n)
	}},
	{"inv/Z8", "an entry committed behind a later one", func(w *World, n *node) {
		e := n.image.entries[len(n.image.entries)-1]
		e.Zxid, e.Prev = e.Zxid+1, e.Prev-1
		n.image.entries = append(n.image.entries, e)
		w.extend(n, e.Zxid)
	}},
	{"inv/Z16", "a log cut behind what is judged by", func(w *World, n *node) {
		n.sm.prepared = []zab.Zxid{n.image.last()}
		w.issued(n, &zab.Record{Kind: zab.RecordTrunc, Zxid: n.image.last() - 1})
	}},
	{"inv/Z17", "another digest at the end", func(w *World, n *node) { alter(w, n); w.audit() }},
	{"inv/C1", "an acknowledged write that is not there", func(w *World, n *node) {
		for _, k := range w.calls {
			if k.done && k.err == nil {
				k.want = nil
			}
		}
		w.final()
	}},
	{"inv/C1", "a write that was refused for good and is there", func(w *World, n *node) {
		for _, k := range w.calls {
			if k.done && k.want != nil {
				k.err = core.ErrOverloaded
			}
		}
		w.final()
	}},
	{"inv/C1", "a write committed twice", func(w *World, n *node) { commitAgain(w, n, func(*core.Header) {}) }},
	{"inv/C1", "a write that nobody has made", func(w *World, n *node) {
		commitAgain(w, n, func(t *core.Header) {
			h := w.ref.sessions[t.Name.Session]
			h.last, h.ended, h.calls = t.Name.Sequence-1, false, h.calls[:t.Name.Sequence-1]
		})
	}},
	{"inv/C4", "a write committed before the one before it", func(w *World, n *node) {
		commitAgain(w, n, func(t *core.Header) {
			h := w.ref.sessions[t.Name.Session]
			h.last, h.ended = t.Name.Sequence-2, false
		})
	}},
	{"inv/C9", "a write of a session that has ended", func(w *World, n *node) {
		commitAgain(w, n, func(t *core.Header) {
			h := w.ref.sessions[t.Name.Session]
			h.last, h.ended = t.Name.Sequence-1, true
		})
	}},
	{"inv/C3", "a verdict that the reference does not share", func(w *World, n *node) {
		commitAgain(w, n, func(t *core.Header) {
			h := w.ref.sessions[t.Name.Session]
			h.last, h.ended, h.calls[t.Name.Sequence-1].req = t.Name.Sequence-1, false, &request{ops: []datatree.Op{datatree.DeleteOp{Path: "/"}}}
		})
	}},
	{"inv/C3", "a time before the last one", func(w *World, n *node) { commitAgain(w, n, func(*core.Header) { w.ref.time++ }) }},
	{"inv/C2", "a write in the past of an answer", func(w *World, n *node) { replyAgain(w, n, func(k *call) { k.floor = 1 << 62 }) }},
	{"inv/C4", "answers out of order", func(w *World, n *node) {
		replyAgain(w, n, func(k *call) { n.watch.lastTicket[k.session] = 1 << 62 })
	}},
	{"inv/C3", "another result than the reference's", func(w *World, n *node) {
		replyAgain(w, n, func(k *call) { k.want.results[0].Stat.Cversion++ })
	}},
	{"inv/C3", "another verdict than the reference's", func(w *World, n *node) {
		replyAgain(w, n, func(k *call) { k.want.err = datatree.ErrNotEmpty })
	}},
	{"inv/C3", "another position than the reference's", func(w *World, n *node) {
		replyAgain(w, n, func(k *call) { k.want.zxid++ })
	}},
	{"inv/Z19", "a message of another link", func(w *World, n *node) { tampered(w, n, func(from, _, other *stream) { from.partner = other }) }},
	{"inv/Z19", "a message for somebody else", func(w *World, n *node) { tampered(w, n, func(from, _, _ *stream) { from.to = from.at }) }},
	{"inv/Z19", "a message that comes twice", func(w *World, n *node) { tampered(w, n, func(_, to, _ *stream) { to.got[1] = 1 }) }},
	{"inv/Z19", "a message after a lost one", func(w *World, n *node) {
		tampered(w, n, func(from, _, _ *stream) { from.sent[1] = append(from.sent[1], from.sent[1][0]) })
	}},
	{"inv/Z19", "a message with other bytes", func(w *World, n *node) { tampered(w, n, func(from, _, _ *stream) { from.sent[1][0]++ }) }},
	{"inv/C4", "a state published after a later one", func(w *World, n *node) {
		t := datatree.New(0)
		failing(w, t.Advance(1))
		w.publish(n, t.View())
	}},
	{"inv/SEND", "a message to oneself", func(w *World, n *node) { w.send(n, &core.Send{To: n.id, Message: &zab.Ping{}}) }},
	{"inv/WIRE", "bytes that are no message", func(w *World, n *node) {
		from, to := w.newStream(w.nodes[n.id%3], n.id), w.newStream(n, n.id%3+1)
		p := &n.peers[n.id%3]
		p.stream = to
		msg := make([]byte, tagBytes+3)
		from.tag(0, msg)
		n.receive(w, p, link.Message{Bytes: msg})
	}},
	{"inv/LINK", "a peer of another ensemble", func(w *World, n *node) {
		p := &n.peers[n.id%3]
		p.in.Err = link.ErrEnsemble
		n.linkDone(w, p)
	}},
	{"inv/SPIN", "a time that does not pass", func(w *World, n *node) {
		for range mostAtOnce + 1 {
			w.watchdog(w.now)
		}
	}},
	{"inv/SPIN", "a run that does not end", func(w *World, n *node) { w.dog.events = mostEvents; w.watchdog(w.now + 1) }},
	{"inv/TICKET", "a ticket answered twice", func(w *World, n *node) { w.answered(n, reply{Ticket: 1 << 60}) }},
	{"inv/C5", "a read of something else", func(w *World, n *node) { rewrite(w, "/"); failing(w, w.ref.point(n.view, "/")) }},
	{"inv/C5", "a walk that shows something else", func(w *World, n *node) { rewrite(w, "/zookeeper/quota"); failing(w, w.ref.check(n.view)) }},
	{"inv/C5", "a tree that shows something else", func(w *World, n *node) {
		w.work.paths, w.work.seqs, n.view = []string{"/p0"}, nil, n.sm.Tree().View()
		w.ref.at["/p0"] = append(w.ref.at["/p0"], moment{0, &znode{}})
		for range 20 {
			w.glance(n)
		}
	}},
	{"inv/C5", "a walk that lacks a znode", func(w *World, n *node) {
		w.ref.counts[len(w.ref.counts)-1].n++
		failing(w, w.ref.check(n.view))
	}},
	{"inv/C5", "a read before a write that was answered", func(w *World, n *node) { n.watch.toldHere = 1 << 62; w.read(n) }},
	{"inv/C5", "a view that does not stay as it was", func(w *World, n *node) {
		n.held = []*datatree.View{n.view}
		rewrite(w, "/")
		w.reread(n)
	}},
	{"inv/C6", "a sync behind what was answered before it", func(w *World, n *node) { syncAgain(w, n, w.lastCommitted()+1) }},
	{"inv/C6", "a sync behind what was committed before it", func(w *World, n *node) {
		w.told = 0
		k := w.newCall(n, callSync)
		w.answered(n, reply{Ticket: k.ticket, Zxid: w.lastCommitted() - 1})
	}},
	{"inv/C7", "a member that is ready again with less than it has shown", func(w *World, n *node) {
		n.status.Ready, n.shown = true, n.view.Zxid()+1
		w.noWayBack(n)
	}},
	{"inv/C6", "a sync that is not applied", func(w *World, n *node) { n.view = core.NewZnodes(0).View(); syncAgain(w, n, 1) }},
	{"inv/R1", "a call that waits, and is not said to", func(w *World, n *node) {
		w.newCall(n, callWrite).handed = true
		w.checkQueues(n)
	}},
	{"inv/R1", "a call refused for want of room that is there", func(w *World, n *node) {
		for range w.cfg.MaxInFlight { // the last is the one that is refused
			w.newCall(n, callSync).handed = true
		}
		r := reply{Ticket: n.ticket, Err: core.ErrOverloaded}
		n.out.Replies = []reply{r}
		w.overloaded(n, callSync, &r)
	}},
	{"inv/LIVE", "no leader when a quorum is healed", func(w *World, n *node) {
		w.phase, w.limit, w.entered, n.up = phaseCore, 0, -1, false
		w.sum = w.progress() // and nothing comes on
		w.checkPhase()
	}},
	{"inv/LIVE", "no quorum that is ready when one is healed", func(w *World, n *node) {
		w.phase, w.limit, w.entered = phaseCore, 0, -1
		for _, m := range w.nodes {
			m.status.Ready = m == n
		}
		w.sum = w.progress()
		w.checkPhase()
	}},
	{"inv/LIVE", "no write is answered when a quorum is healed", func(w *World, n *node) {
		w.phase, w.limit, w.entered = phaseCore, 0, w.now
		w.checkPhase()
	}},
	{"inv/LIVE", "a member that is ready answers no write", func(w *World, n *node) {
		w.phase, w.end, w.entered, w.hushed = phaseAgain, 0, n.wrote, true
		w.checkPhase()
	}},
	{"inv/C12", "half of a pair", func(w *World, n *node) {
		t := datatree.New(maxData)
		txn, err := t.Prepare(1, 1, []datatree.Op{datatree.CreateOp{Path: pairA}}, false, nil)
		failing(w, err)
		_, err = t.Apply(1, 1, txn)
		failing(w, err)
		failing(w, checkPair(t.View()))
	}},
	{"inv/C8", "an event that is not told", func(w *World, n *node) { tellTale(w, n, 1) }},
	{"inv/C8", "an event that is told twice", func(w *World, n *node) { tellTale(w, n, 0, 0, 1) }},
	{"inv/C8", "events out of order", func(w *World, n *node) { tellTale(w, n, 1, 0) }},
	{"inv/C8", "an event of what is not applied", func(w *World, n *node) { tellTale(w, n, 0, 1, 2) }},
	{"inv/C8", "an event when its data can be read", func(w *World, n *node) { tellTale(w, n, 0, 1, 3) }},
	{"inv/C8", "a watch that is not taken away", func(w *World, n *node) {
		x := listener(w, n)
		x.conn.Add("/", datatree.WatchData)
		for range 100 {
			w.takeAway(x, "/")
		}
	}},
	{"inv/C8", "a watch that is not told what it missed", func(w *World, n *node) {
		x := newWatchers(&Config{Watchers: 1}, w.watching)[0]
		w.watchers = []*watcher{x}
		x.data["/"] = 0
		rewrite(w, "/")
		h := w.ref.at["/"]
		h[len(h)-1].node.stat.Mzxid = 77
		x.seen = w.lastCommitted()
		for x.at == nil {
			w.attach(x)
		}
	}},
	{"inv/C11", "a number given twice", func(w *World, n *node) {
		op, path := datatree.CreateOp{Path: "/s-", Mode: datatree.Sequential}, "/s-0000099999"
		for i := range zab.Zxid(2) {
			failing(w, w.ref.numbered(w.lastCommitted()+1+i, []datatree.Op{op}, []datatree.Result{{Path: path}}))
		}
	}},
	{"inv/C11", "a number that is taken", func(w *World, n *node) {
		commitRefused(w, n, datatree.CreateOp{Path: "/zookeeper/s-", Mode: datatree.Sequential})
	}},
	{"inv/C13", "what is due and not found", func(w *World, n *node) {
		w.cfg.Special = true
		w.ref.now["/gone"] = &znode{creates: 1, stat: datatree.Stat{Mode: datatree.Container}}
		w.checkDue(n)
	}},
	{"inv/C13", "what is due and not found at the end", func(w *World, n *node) {
		w.cfg.Special = true
		w.ref.now["/gone"] = &znode{creates: 1, stat: datatree.Stat{Mode: datatree.Container}}
		w.auditTree(n)
	}},
	{"inv/C5", "an ACL that is not the reference's", func(w *World, n *node) {
		for _, path := range w.work.paths {
			w.ref.at[path] = append(w.ref.at[path], moment{0, &znode{acl: lists[1]}})
		}
		for range 100 {
			w.glanceAs(n)
		}
	}},
	{"inv/C13", "a wrong count of children", func(w *World, n *node) {
		shown := slices.Collect(n.view.Walk("/"))
		failing(w, checkShape(shown))
		failing(w, checkShape(shown[:len(shown)-1]))
	}},
}

// listener returns a client that is connected to n.
func listener(w *World, n *node) *watcher {
	x := newWatchers(&Config{Watchers: 1}, w.watching)[0]
	x.at, x.tree = n, n.sm.Tree()
	x.conn = x.tree.Watch().New(nil, func(datatree.WatchEvent) {})
	w.watchers = []*watcher{x}
	return x
}

// tellTale has n apply a transaction of two events, and tells a client who watches both these: 0 and 1, the two as they should be; 2, another one of later; 3, the
// second again when it can be read.
func tellTale(w *World, n *node, tell ...int) {
	x, z := listener(w, n), w.lastCommitted()+1
	w.ref.happened[z] = []happening{{datatree.NodeDataChanged, "/a", nil, nil}, {datatree.NodeDataChanged, "/b", nil, nil}}
	x.data["/a"], x.data["/b"] = 0, 0
	for _, i := range tell {
		e := told{datatree.WatchEvent{Type: datatree.NodeDataChanged, Path: "/a", Zxid: z}, z - 1}
		switch i {
		case 1:
			e.event.Path = "/b"
		case 2:
			e.event.Zxid++
		case 3:
			e.readable = z
		}
		x.told = append(x.told, e)
	}
	w.appliedTo(n, z)
	w.nothingMore(n)
}

// commitRefused commits a request that is refused since the znode is there, which the reference does not share.
func commitRefused(w *World, n *node, op datatree.Op) {
	var name core.Name
	commitAgain(w, n, func(t *core.Header) {
		name = t.Name
		h := w.ref.sessions[name.Session]
		h.last, h.ended, h.calls[name.Sequence-1].req = name.Sequence-1, false, &request{ops: []datatree.Op{op}}
	}, func([]byte) []byte {
		txn := []byte{1} // a call
		for _, v := range [...]uint64{name.Session, 0, name.Sequence, 0, uint64(w.ref.time), uint64(datatree.CodeOf(datatree.ErrNodeExists)), 0} {
			txn = binary.AppendUvarint(txn, v)
		}
		return txn
	})
}

// tampered lets a message arrive after a change to what is known of its link.
func tampered(w *World, n *node, change func(from, to, other *stream)) {
	peer := quorum.ID(1)
	if n.id == peer {
		peer = 2
	}
	from, to, other := w.newStream(n, peer), w.newStream(w.nodes[peer-1], n.id), w.newStream(n, peer)
	msg := make([]byte, tagBytes+3)
	from.tag(1, msg)
	failing(w, to.takes(w.streams, 1, msg)) // it is as it should be
	from.sent[1], to.got[1] = nil, 0
	from.tag(1, msg)
	change(from, to, other)
	if len(from.sent[1]) > 1 { // one was lost before it
		msg[7] = 1
	}
	failing(w, to.takes(w.streams, 1, msg))
}

func failing(w *World, err error) {
	if err != nil {
		w.failWith(err)
	}
}

// rewrite changes what the reference says of a path.
func rewrite(w *World, path string) {
	h := w.ref.at[path]
	n := *h[len(h)-1].node
	n.stat.Aversion = datatree.VersionOf(77)
	h[len(h)-1].node = &n
}

// alter lets a member alone apply another transaction.
func alter(w *World, n *node) {
	z := w.lastCommitted() + 1
	txn, ok := n.sm.Znodes.PrepareOpen(z, 0, 99, zab.Incarnation{99}, 0)
	if !ok {
		panic("no transaction")
	}
	_, err := n.sm.Znodes.Apply(z, txn)
	failing(w, err)
}

// commitAgain commits the last call of a member that a store holds once more, after a change to what the reference knows of it.
func commitAgain(w *World, n *node, change func(*core.Header), other ...func([]byte) []byte) {
	for _, e := range slices.Backward(n.disk.entries) {
		t, ok := core.ReadHeader(e.Data)
		if x := w.ref.sessions[t.Name.Session]; ok && x != nil && t.Name.Sequence > 1 && e.Kind == zab.EntryData && x.generation == 0 && x.calls[t.Name.Sequence-1].guest == nil {
			w.ref.time = t.Time // or that would be wrong first
			change(&t)
			txn := e.Data
			for _, f := range other {
				txn = f(txn)
			}
			failing(w, w.ref.commit(w.lastCommitted()+1, txn))
			return
		}
	}
}

// imagesOf is what a loss of power would leave of all disks.
func imagesOf(w *World) (images []*store) {
	for _, n := range w.nodes[:w.cfg.Voters] {
		images = append(images, w.image(n))
	}
	return images
}

func syncAgain(w *World, n *node, told zab.Zxid) {
	w.told = told
	k := w.newCall(n, callSync)
	w.answered(n, reply{Ticket: k.ticket, Zxid: w.lastCommitted()})
}

// replyAgain gives the last good answer once more, as it was and then after a change.
func replyAgain(w *World, n *node, change func(*call)) {
	i := len(w.calls) - 1
	for ; ; i-- { // there is one
		if k := w.calls[i]; k.done && k.err == nil && k.want != nil && len(k.want.results) > 0 {
			break
		}
	}
	k, e := w.calls[i], w.calls[i].want
	r := reply{Ticket: k.ticket, Zxid: e.zxid, Result: core.Result{First: e.results[0], Rest: slices.Clone(e.results[1:])}}
	again := func(change func(*call)) {
		c, want := *k, *e
		c.want, want.results = &want, slices.Clone(e.results)
		clear(n.watch.lastTicket)
		clear(n.watch.lastAnswer)
		n.watch.jumpTo = 0
		n.calls[c.ticket] = &c
		change(&c)
		w.answered(n, r)
	}
	func() {
		defer func() {
			if f := recover(); f != nil {
				panic(fmt.Sprint("an answer that nobody has changed is flagged: ", f))
			}
		}()
		again(func(*call) {})
	}()
	again(change)
}

func TestCheckers(t *testing.T) {
	for _, c := range slices.Concat(corruptions, sessionCorruptions) {
		t.Run(c.want+" "+c.what, func(t *testing.T) {
			seed := uint64(1)
			for newConfig(seed).Voters != 3 || newConfig(seed).Segment == 0 || newConfig(seed).Groups != nil || newConfig(seed).Beyond != 0 {
				seed++
			}
			cfg := newConfig(seed)
			cfg.KeepEvery, cfg.MaxTail, cfg.Segment, cfg.Guests = 20, 1<<20, 2048, 3
			cfg.Chaos /= 4
			w := newWorld(seed, Options{Config: &cfg, Actions: []Action{}})
			if o := w.run(); o.Err != nil {
				t.Fatal(o.Err)
			}
			defer func() {
				r := recover()
				f, ok := r.(failure)
				if !ok || invariant(f.err) != c.want {
					t.Errorf("flagged as %v (%v), want %s", f.err, r, c.want)
				}
			}()
			c.do(w, w.leader())
		})
	}
}
