package ensemble

import (
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/zab"
)

// writer is the one goroutine that writes to the log of a durable node. What is handed to it while it works becomes the next batch: one write and
// one sync for all of it.
type writer struct {
	disk     *storage
	wakeLoop func()
	batch    []zab.Record // being written
	settled  uint64       // position up to which the log was told, at leisure, that it is acknowledged

	wake chan struct{} // has room for one
	done chan struct{} // closed when the goroutine has ended

	mu        sync.Mutex // guards what follows; never held during I/O
	queue     []zab.Record
	retain    uint64 // drop what is before this position; 0: nothing new
	stop      bool
	persisted zab.WriteID
	err       error
}

const ackedEvery = time.Second // how long the acknowledged position may stay unwritten

func newWriter(s *storage, wakeLoop func()) *writer {
	return &writer{disk: s, wakeLoop: wakeLoop, settled: s.Log.Pos(), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// put hands records over. They are copied.
func (w *writer) put(records []zab.Record) {
	w.mu.Lock()
	w.queue = append(w.queue, records...)
	w.mu.Unlock()
	w.nudge()
}

// retainFrom lets go of what is before a position, some time.
func (w *writer) retainFrom(pos uint64) {
	w.mu.Lock()
	w.retain = max(w.retain, pos)
	w.mu.Unlock()
	w.nudge()
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// news returns how far everything is durable, and the error with which that ended.
func (w *writer) news() (zab.WriteID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.persisted, w.err
}

// close ends the goroutine after what it is doing now; what waits is dropped. Then it closes the log.
func (w *writer) close() error {
	w.mu.Lock()
	w.stop = true
	w.mu.Unlock()
	w.disk.Stop() // much may wait for a slow disk
	w.nudge()
	<-w.done
	return w.disk.Close()
}

// run is the goroutine.
func (w *writer) run() {
	defer close(w.done)
	for {
		retain, stop := w.take()
		if stop {
			return
		}
		if err := w.work(retain); err != nil {
			w.mu.Lock()
			if n := len(w.batch); n > 0 && mutant.On("failed-batch-told") {
				w.persisted = w.batch[n-1].ID
			}
			w.err = dirError(w.disk.dir, err)
			w.queue = nil
			w.mu.Unlock()
			w.wakeLoop()
			return
		}
	}
}

// take waits until there is something to do, at most as long as the acknowledged position may wait.
func (w *writer) take() (retain uint64, stop bool) {
	var due *time.Timer
	for {
		w.mu.Lock()
		spare := w.batch
		if cap(spare) > 8192 {
			spare = nil // a burst is not a reason to keep its memory
		}
		clear(spare)
		w.batch, w.queue = w.queue, spare[:0]
		retain, w.retain = w.retain, 0
		stop = w.stop
		w.mu.Unlock()
		if stop || len(w.batch) > 0 || retain > 0 {
			if due != nil {
				due.Stop()
			}
			return retain, stop
		}
		pos := w.disk.Log.Pos()
		if due == nil && pos == w.settled {
			<-w.wake
			continue
		}
		if due == nil {
			due = time.NewTimer(ackedEvery)
		}
		select {
		case <-w.wake:
		case <-due.C:
			w.settled = pos
			return 0, false
		}
	}
}

// work writes the batch.
func (w *writer) work(retain uint64) error {
	return w.disk.Append(w.batch, retain, func(upto zab.WriteID) {
		w.mu.Lock()
		w.persisted = upto
		w.mu.Unlock()
		w.wakeLoop()
	})
}
