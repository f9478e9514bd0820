package tcp

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
)

// notices is the log. A flood of the same thing must not become a flood there: it is told when it is new, and then at most once in a while, with the number of times.
type notices struct {
	log   *slog.Logger
	again time.Duration

	mu    sync.Mutex
	known map[notice]*told
}

// notice is what counts as the same thing. The peer is 0 unless it was configured or authenticated: strangers must not fill the map.
type notice struct {
	what string
	peer quorum.ID
}

type told struct {
	last time.Time
	held int // times since then
}

const mostNotices = 512

func (n *notices) say(level slog.Level, self, peer quorum.ID, what string, attrs ...slog.Attr) {
	if !n.log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	n.mu.Lock()
	k := notice{what, peer}
	t := n.known[k]
	if t != nil && now.Sub(t.last) < n.again {
		t.held++
		n.mu.Unlock()
		return
	}
	if t == nil {
		if n.known == nil || len(n.known) >= mostNotices {
			n.known = make(map[notice]*told)
		}
		t = new(told)
		n.known[k] = t
	}
	held := t.held
	t.last, t.held = now, 0
	n.mu.Unlock()
	attrs = append(attrs, slog.Uint64("member", uint64(self)))
	if peer != 0 {
		attrs = append(attrs, slog.Uint64("peer", uint64(peer)))
	}
	if held > 0 {
		attrs = append(attrs, slog.Int("unreported", held))
	}
	n.log.LogAttrs(context.Background(), level, "tcp: "+what, attrs...)
}
