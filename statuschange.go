package ensemble

import (
	"fmt"

	"github.com/ensemble-go/ensemble/internal/core"
)

// statusChanged publishes what the machine says of itself.
func (h *host) statusChanged(s core.Status) {
	old := h.core
	h.core = s
	tr := h.cfg.Trace
	if s.Role != old.Role || s.Leader != old.Leader || s.Epoch != old.Epoch {
		if s.Role == Looking && old.Role != Looking {
			h.stats.elections.Add(1)
		}
		h.cfg.Logger.Info("ensemble: role", "member", h.cfg.ID, "role", s.Role, "leader", s.Leader, "epoch", s.Epoch)
		if tr.RoleChanged != nil {
			tr.RoleChanged(RoleChange{old.Role, s.Role, s.Leader, s.Epoch})
		}
	}
	if tr.PeerChanged != nil {
		for i, p := range s.Peers {
			if i < len(old.Peers) && p.Linked != old.Peers[i].Linked || i >= len(old.Peers) && p.Linked {
				tr.PeerChanged(PeerChange{Peer: p.ID, Reachable: p.Linked})
			}
		}
	}
	if s.Founded && !old.Founded {
		h.cfg.Logger.Warn("ensemble: founded a new ensemble, with an empty tree", "member", h.cfg.ID, "ensemble", fmt.Sprintf("%x", s.Ensemble))
	}
	if impaired := s.Reason == core.Impaired; impaired != h.impaired.Load() {
		h.impaired.Store(impaired)
		if impaired {
			h.cfg.Logger.Error("ensemble: the state of this member differs from its leader's", "member", h.cfg.ID, "leader", s.Leader, "zxid", s.Applied)
		} else {
			h.cfg.Logger.Info("ensemble: no longer impaired", "member", h.cfg.ID, "leader", s.Leader, "zxid", s.Applied)
		}
	}
	if s.Ready && !old.Ready {
		h.cfg.Logger.Info("ensemble: ready", "member", h.cfg.ID, "zxid", s.Applied)
		if tr.Synced != nil {
			tr.Synced(SyncedInfo{s.Leader, s.Epoch, s.Applied})
		}
		if !h.hasServed {
			h.hasServed = true
			close(h.served)
		}
	}
	h.serves.Store(h.hasServed && s.Reason != core.Impaired)
	h.publish(Status{
		ID: h.cfg.ID, Leader: s.Leader, Role: s.Role, Ready: s.Ready, Reason: reasonOf(s), Epoch: s.Epoch,
		Logged: s.Logged, Committed: s.Committed, Applied: s.Applied, Peers: h.peerStatus(s),
	})
}

func reasonOf(s core.Status) Reason {
	switch {
	case s.Ready:
		return 0
	case s.Reason == core.Synchronising:
		return Synchronising
	case s.Reason == core.Blank:
		return Blank
	case s.Reason == core.Impaired:
		return Impaired
	}
	return NoQuorum
}

func (h *host) peerStatus(s core.Status) []PeerStatus {
	list := make([]PeerStatus, 0, len(h.links))
	for _, p := range s.Peers {
		x := PeerStatus{ID: p.ID, Role: Stopped, Reachable: p.Linked}
		if p.Linked {
			x.Role = Role(p.State) // the values are the same
		}
		if l := h.peer(p.ID); l != nil {
			x.Heard = l.heard
		}
		if s.Role == Leading && s.Logged > p.Acked && s.Logged.Epoch() == p.Acked.Epoch() {
			x.Lag = uint64(s.Logged - p.Acked)
		}
		list = append(list, x)
	}
	return list
}
