package ensemble

import (
	"sync"

	"github.com/ensemble-go/ensemble/internal/core"
)

// load decodes a snapshot beside the loop.
func (h *host) load(l core.Load) {
	h.loaded.group.Add(1)
	go func() {
		defer h.loaded.group.Done()
		state, err := core.NewZnodes(h.cfg.MaxData).Decode(l.Snapshot.Chunks) // not of h.sm, which goes on meanwhile
		h.loaded.put(&core.Loaded{ID: l.ID, State: state, Err: err})
		h.wakeUp()
	}()
}

// loads is what came of snapshots.
type loads struct {
	mu    sync.Mutex
	list  []*core.Loaded
	group sync.WaitGroup
}

func (l *loads) put(x *core.Loaded) {
	l.mu.Lock()
	l.list = append(l.list, x)
	l.mu.Unlock()
}

func (l *loads) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0
}

func (l *loads) take() []*core.Loaded {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}
