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
		entries, err := h.writer.disk.recall(&r)
		if err != nil && !errors.Is(err, wal.ErrGone) && !errors.Is(err, wal.ErrClosed) {
			h.cfg.Logger.Warn("ensemble: older history cannot be read; a snapshot is sent instead", "member", h.cfg.ID, "after", r.After, "err", err)
		}
		h.loaded.put(&core.Recalled{ID: r.ID, Entries: entries})
		h.wakeUp()
	})
}

// leastSnapshot: less than that is read back from the log however small a snapshot is.
const leastSnapshot = 64 << 10

// recall returns nothing if a snapshot is less to send: if the log from there on is more than a third of the newest one. A learner that is sent a snapshot
// has to throw away and write anew all that it has, so entries are preferred as long as they are clearly less.
func (s *storage) recall(r *zab.Read) ([]zab.Entry, error) {
	if r.Whole {
		newest := int64(0)
		for _, i := range s.states.List() {
			if i.Fault == nil && uint64(i.Zxid) == s.newest.Load() {
				newest = i.Size
			}
		}
		if newest > 0 && s.log.Size(r.After, r.UpTo)+int64(r.Rest) > max(leastSnapshot, newest/3) {
			return nil, nil
		}
	}
	return s.log.Entries(r.After, r.UpTo, r.Bytes)
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
