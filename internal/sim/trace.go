package sim

import (
	"fmt"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/wire"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

const ringSize = 256

// happened is one event, kept for the report of a failure.
type happened struct {
	at            Time
	node, from    quorum.ID
	input         string
	msg           any    // an input
	raw           []byte // a message, encoded: whoever was given it may have used its memory again
	note          string
	writes, sends int
	done          bool
	role          zab.Role
	epoch         uint32
	est           bool
	last, comm    zab.Zxid
	appl          zab.Zxid
}

// ring keeps the last events, and a hash of all.
type ring struct {
	events [ringSize]happened
	n      int
	hash   uint64
	Out    func(string) // if set, is told every event
}

func (r *ring) mix(x uint64) {
	r.hash = (r.hash ^ x) * 0x9e3779b97f4a7c15
	r.hash ^= r.hash >> 29
}

// record notes an input before it is stepped.
func (w *World) record(n *node, input core.Input, from quorum.ID, msg any) {
	h := &w.events[w.n%ringSize]
	w.n++
	*h = happened{at: w.now, node: n.id, from: from, msg: msg}
	if w.raw != nil {
		h.msg, h.raw = nil, w.raw
	}
	w.mix(uint64(w.now))
	kind := uint64(0)
	switch x := input.(type) {
	case *core.Tick:
		h.input, kind = "tick", 1
	case *core.Receive:
		h.input = "receive"
		kind = detail(x.Message)
	case *core.Linked:
		h.input, h.from, kind = "linked", x.Peer, 3
	case *core.Lost:
		h.input, h.from, kind = "lost", x.Peer, 4
	case *core.Request:
		h.input, kind = "request", x.Ticket
	case *core.SyncRequest:
		h.input, kind = "sync", x.Ticket
	case *core.TransferRequest:
		h.input, kind = "transfer", x.Ticket
	case *core.Persisted:
		h.input, kind = "persisted", uint64(x.Upto)
	case *core.Taken:
		h.input, kind = "taken", uint64(x.At.Chunk)
	case *core.Recalled:
		h.input, kind = "recalled", x.ID<<16^uint64(len(x.Entries))
	case *core.Continue:
		h.input, kind = "continue", 6
	case *core.Failed:
		h.input, kind = "failed", 5
	case *core.GiveUp:
		h.input, kind = "give up", x.Session
	}
	w.mix(uint64(n.id)<<56 ^ uint64(from)<<48 ^ kind)
}

// recorded notes what came of it.
func (w *World) recorded(n *node, writes, sends int) {
	h := &w.events[(w.n-1)%ringSize]
	z := n.m.Zab()
	h.writes, h.sends, h.done = writes, sends, true
	h.role, h.epoch, h.est, h.last, h.comm, h.appl = z.Role(), z.Epoch(), z.Established(), z.Last(), z.Committed(), z.Applied()
	w.mix(uint64(writes)<<32 ^ uint64(sends) ^ uint64(h.comm)<<8 ^ uint64(h.role))
	if w.Out != nil {
		w.Out(h.String())
	}
}

func (w *World) note(n *node, format string, args ...any) {
	h := &w.events[w.n%ringSize]
	w.n++
	*h = happened{at: w.now, note: fmt.Sprintf(format, args...)}
	if n != nil {
		h.node = n.id
	}
	w.mix(uint64(w.now) ^ 0x77)
	if w.Out != nil {
		w.Out(h.String())
	}
}

func (w *World) recordAction(a Action, n *node) { w.note(n, "FAULT %v", a) }

func (h *happened) String() string {
	at := fmt.Sprintf("%12.6f", float64(h.at)/1e9)
	if h.note != "" {
		return fmt.Sprintf("%s  %d %s", at, h.node, h.note)
	}
	what := h.input
	switch h.input {
	case "receive":
		what = fmt.Sprintf("<- %d %s", h.from, messageText(h.raw))
	case "linked", "lost":
		what += fmt.Sprintf(" %d", h.from)
	case "persisted":
		if p, ok := h.msg.(*core.Persisted); ok {
			what += fmt.Sprintf(" %d", p.Upto)
		}
	}
	if !h.done {
		return fmt.Sprintf("%s  %d %s   (this step)", at, h.node, what)
	}
	est := ""
	if h.est {
		est = "*"
	}
	return fmt.Sprintf("%s  %d %s   | %v%s e%d last %v com %v app %v | %dw %ds", at, h.node, what, h.role, est, h.epoch, h.last, h.comm, h.appl, h.writes, h.sends)
}

func messageText(raw []byte) string {
	m, err := wire.Decode(raw)
	if err != nil {
		return err.Error()
	}
	switch x := m.(type) {
	case *zab.Propose:
		if len(x.Entries) == 0 {
			return fmt.Sprintf("Propose s%x e%d commit %v, none", x.Session, x.Epoch, x.Commit)
		}
		return fmt.Sprintf("Propose s%x e%d commit %v, %d entries %v to %v", x.Session, x.Epoch, x.Commit, len(x.Entries), x.Entries[0].Zxid, x.Entries[len(x.Entries)-1].Zxid)
	case *zab.Chunk:
		return fmt.Sprintf("Chunk %d last %v, %d bytes", x.Index, x.Last, len(x.Data))
	}
	return fmt.Sprintf("%T%+v", m, deref(m))
}

func deref(m any) any {
	switch x := m.(type) {
	case *zab.FollowerInfo:
		return *x
	case *zab.LeaderInfo:
		return *x
	case *zab.AckEpoch:
		return *x
	case *zab.Refuse:
		return *x
	case *zab.Sync:
		return *x
	case *zab.Fetch:
		return *x
	case *zab.Installed:
		return *x
	case *zab.NewLeader:
		return *x
	case *zab.Ack:
		return *x
	case *zab.UpToDate:
		return *x
	case *zab.Commit:
		return *x
	case *zab.Ping:
		return *x
	case *zab.Pong:
		return *x
	case *zab.Handover:
		return *x
	case *election.Notification:
		return *x
	case *core.Birth:
		return *x
	case *core.SyncAsk:
		return *x
	case *core.SyncAnswer:
		return *x
	case *core.Compared:
		return *x
	case *core.Reinstall:
		return *x
	case *core.Renew:
		return fmt.Sprintf("{batch %d, %d touches}", x.Batch, len(x.Touches))
	case *core.Renewed:
		return *x
	case *core.Forward:
		return fmt.Sprintf("{owner %d open %v, %d calls}", x.Owner, x.Open, len(x.Calls))
	}
	return ""
}

// detail condenses a message for the hash.
func detail(m any) uint64 {
	switch x := m.(type) {
	case *zab.Propose:
		return 0x100 ^ uint64(x.Commit)<<4 ^ uint64(len(x.Entries))<<52
	case *zab.Ack:
		return 0x101 ^ uint64(x.Zxid)<<4
	case *zab.Commit:
		return 0x102 ^ uint64(x.Commit)<<4
	case *zab.Ping:
		return 0x103 ^ x.Round<<12
	case *zab.Pong:
		return 0x104 ^ x.Round<<12
	case *zab.FollowerInfo:
		return 0x105 ^ uint64(x.Session)<<12
	case *zab.LeaderInfo:
		return 0x106 ^ uint64(x.Epoch)<<12
	case *zab.AckEpoch:
		return 0x107 ^ uint64(x.Epoch)<<12
	case *zab.Sync:
		return 0x108 ^ uint64(x.Keep)<<4
	case *zab.NewLeader:
		return 0x109 ^ uint64(x.Last)<<4
	case *zab.UpToDate:
		return 0x10a ^ uint64(x.Commit)<<4
	case *zab.Chunk:
		return 0x10b ^ uint64(x.Index)<<12
	case *election.Notification:
		return 0x10c
	case *core.Forward:
		return 0x10d ^ uint64(len(x.Calls))<<12
	}
	return 0x1ff
}

// tail returns the last 200 events.
func (w *World) tail() (lines []string) {
	for i := max(0, w.n-200); i < w.n; i++ {
		lines = append(lines, w.events[i%ringSize].String())
	}
	return append(lines, w.describe())
}

// describe tells where everybody is.
func (w *World) describe() string {
	text := fmt.Sprintf("at %v ms, phase %d, committed %v;", w.now/ms, w.phase, w.lastCommitted())
	for _, n := range w.nodes {
		text += fmt.Sprintf("\n  %d: disk last %v mark p%d j%d counts=%v born=%v", n.id, n.disk.last(), n.disk.mark.Promised, n.disk.mark.Joined, n.disk.mark.Counts, n.disk.mark.Born)
		if n.spoilt() {
			text += " SPOILT"
		}
		if !n.up {
			text += " DOWN"
			continue
		}
		z := n.m.Zab()
		est := ""
		if z.Established() {
			est = "*"
		}
		text += fmt.Sprintf("; run %d %v%s e%d last %v com %v app %v, status %v leader %d ready %v reason %d, %d calls, %d pending writes, links", n.run, z.Role(), est, z.Epoch(), z.Last(), z.Committed(), z.Applied(),
			n.status.Role, n.status.Leader, n.status.Ready, n.status.Reason, len(n.calls), len(n.disk.pending))
		for j := range n.peers {
			if n.peers[j].stream != nil {
				text += fmt.Sprint(" ", j+1)
			}
		}
		if n.paused {
			text += " PAUSED"
		}
	}
	return text
}
