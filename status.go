package ensemble

import (
	"context"
	"iter"
	"time"

	"github.com/ensemble-go/ensemble/zab"
)

// Role of a member in the protocol.
type Role = zab.Role

// The roles. Leading says nothing about exclusiveness: another member may lead already.
const (
	Looking   = zab.Looking
	Following = zab.Following
	Leading   = zab.Leading
	Observing = zab.Observing
	Stopped   = zab.Stopped
)

// Reason says why a node is not ready.
type Reason uint8

// The reasons. The zero value is given for a node that is ready.
const (
	NoQuorum      Reason = iota + 1 // it looks for a leader, or the ensemble is not born yet
	Synchronising                   // it has a leader and catches up with it
	Blank                           // it may have forgotten something and waits to be readmitted
	Impaired                        // its state differs from the leader's, or its directory was damaged; it gets the leader's by itself, and reads nothing meanwhile
	Ended                           // the node has ended
)

// String returns the reason in words, or "".
func (r Reason) String() string {
	switch r {
	case NoQuorum:
		return "no quorum"
	case Synchronising:
		return "synchronising"
	case Blank:
		return "blank"
	case Impaired:
		return "impaired"
	case Ended:
		return "ended"
	}
	return ""
}

// Status is what a node knows of itself and its peers.
type Status struct {
	ID     ID
	Leader ID // 0: none known
	Role   Role
	// Ready tells that this node is brought up to date by a leader. Node.Ready also waits for the node's own session: an observer whose disk was lost may
	// show less than before until it has one, since the first leader that it finds may be deposed and not know it yet.
	Ready       bool
	Reason      Reason // when not Ready
	Epoch       uint32
	Logged      Zxid         // last transaction in the log
	Committed   Zxid         // last one known to be committed
	Applied     Zxid         // last one that is in the tree
	Snapshot    Zxid         // of the newest one in the data directory; 0: none
	SnapshotErr error        // why none could be written the last time; it is tried again, with longer and longer pauses; nil: it could
	Peers       []PeerStatus // in ascending order of ID, without this member; read-only
	InFlight    int          // calls that wait at this node
	Sessions    int          // in the ensemble, as applied here
	Watches     int          // Watchers of this node that are open
	Znodes      int          // in the tree
}

// PeerStatus is what a node knows of another member.
type PeerStatus struct {
	ID        ID
	Role      Role      // as last heard; Looking if nothing was heard, Stopped if it cannot be reached
	Reachable bool      // there is a link to it
	Heard     time.Time // when a frame came from it last; zero if never
	Lag       uint64    // at the leader: transactions that it has not acknowledged
}

// cell holds one status; next is closed when there is another one that differs in what StatusChanges tells.
type cell struct {
	Status
	next chan struct{}
}

// differs reports whether StatusChanges should tell.
func (s *Status) differs(o *Status) bool {
	if s.Leader != o.Leader || s.Role != o.Role || s.Ready != o.Ready || s.Reason != o.Reason || s.Epoch != o.Epoch || len(s.Peers) != len(o.Peers) {
		return true
	}
	for i, p := range s.Peers {
		if p.ID != o.Peers[i].ID || p.Reachable != o.Peers[i].Reachable {
			return true
		}
	}
	return false
}

// publish makes s what readers see, and wakes those who wait for a change. Called by the node's goroutine.
func (h *host) publish(s Status) {
	old := h.cell.Load()
	c := &cell{s, old.next}
	if changed := s.differs(&old.Status); changed {
		c.next = make(chan struct{})
		defer close(old.next)
	}
	h.cell.Store(c)
}

// fresh completes a published status with what moves all the time.
func (h *host) fresh(s Status) Status {
	tree := h.tree.Load()
	s.Applied, s.Znodes = tree.Zxid(), tree.Len()
	s.Committed = max(s.Committed, s.Applied)
	s.Logged = max(s.Logged, s.Committed)
	if h.writer != nil {
		s.Snapshot = h.writer.disk.Newest()
		if err := h.keeper.failure.Load(); err != nil {
			s.SnapshotErr = *err
		}
	}
	s.InFlight = int(h.inFlight.calls())
	s.Sessions = int(h.sessions.Load())
	s.Watches = int(h.watches.open.Load())
	return s
}

// Status returns what the node knows of itself and its peers. It never waits.
func (n *Node) Status() Status { return n.h.fresh(n.h.cell.Load().Status) }

// StatusChanges yields the present status first, and then whenever role, leader, epoch, readiness or a peer's reachability has changed.
// A caller that is slow misses what lies between, never the latest. It ends with ctx, and after the status of a node that has ended.
func (n *Node) StatusChanges(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		for {
			c := n.h.cell.Load()
			if !yield(n.h.fresh(c.Status)) || c.Reason == Ended {
				return
			}
			select {
			case <-c.next:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Stats returns counters and histograms since Open.
func (n *Node) Stats() Stats { return n.h.stats.read() }
