package ensemble

import (
	"errors"
	"sync"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// recall reads older history out of the log beside the loop. There is at most one read at a time for each learner.
func (h *host) recall(r zab.Read) {
	h.loaded.group.Go(func() {
		entries, err := h.writer.disk.Recall(&r)
		if err != nil && !errors.Is(err, wal.ErrGone) && !errors.Is(err, wal.ErrClosed) {
			h.cfg.Logger.Warn("ensemble: older history cannot be read; a snapshot is sent instead", "member", h.cfg.ID, "after", r.After, "err", err)
		}
		h.loaded.put(&core.Recalled{ID: r.ID, Entries: entries})
		h.wakeUp()
	})
}

// loads is what was done beside the loop, to be stepped.
type loads struct {
	mu    sync.Mutex
	list  []core.Input
	group sync.WaitGroup
}

func (l *loads) put(x core.Input) {
	l.mu.Lock()
	l.list = append(l.list, x)
	l.mu.Unlock()
}

func (l *loads) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0
}

func (l *loads) take() []core.Input {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}
