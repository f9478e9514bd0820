package ensemble

import (
	"bufio"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// Backup writes the state of the whole ensemble to w, as it is here now: exact at the zxid that it returns, with the sessions, for Restore to begin
// from. Sync first if it must hold what was acknowledged elsewhere. Writers do not wait for it, and the node needs no data directory. Like a read it
// waits for the first readiness of a run; of a member that has no quorum any more, BackupDir makes one. w gets writes of up to 32 KiB on the calling
// goroutine, and is not closed. ctx ends it between two of them.
//
// What was written before an error is of no use, and Restore refuses it. The error is that of w, ErrImpaired while this member's state is being replaced, or that of a read.
func (n *Node) Backup(ctx context.Context, w io.Writer) (Zxid, error) {
	h := n.h
	if _, err := h.reader(ctx); err != nil {
		return 0, err
	}
	if err := n.Await(ctx, 1); err != nil { // of an ensemble that has just been born there is nothing yet
		return 0, err
	}
	s, err := h.backups.take(ctx, h)
	if err != nil {
		return 0, err
	}
	defer s.reader.Close()
	return writeBackup(ctx, w, s.ensemble, s.Snapshot, s.reader)
}

// writeBackup writes a state as a container of its own, which has a new name: by it two backups of one zxid are told apart.
func writeBackup(ctx context.Context, w io.Writer, e zab.EnsembleID, s zab.Snapshot, r zab.SnapshotReader) (Zxid, error) {
	meta := snapshot.Meta{Ensemble: e, Zxid: s.Zxid, Created: time.Now(), Spans: s.Spans, Members: s.Members}
	random(meta.ID[:])
	b := bufio.NewWriterSize(w, chunkBytes)
	if _, err := snapshot.Write(ctx, b, meta, r); err != nil {
		return 0, err
	}
	if err := b.Flush(); err != nil {
		return 0, err
	}
	return s.Zxid, nil
}

// backups are the callers that wait for a state, which the node's goroutine takes between two steps.
type backups struct {
	mu   sync.Mutex
	asks []chan state
	over error // the end of the node
}

// state is one to be written out, or why there is none.
type state struct {
	zab.Snapshot
	ensemble zab.EnsembleID
	reader   zab.SnapshotReader
	err      error
}

// waits reports whether there is something for the node's goroutine to do.
func (b *backups) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asks) > 0
}

// take returns the state as it is between two steps.
func (b *backups) take(ctx context.Context, h *host) (state, error) {
	c := make(chan state, 1)
	b.mu.Lock()
	ended := b.over
	if ended == nil {
		b.asks = append(b.asks, c)
	}
	b.mu.Unlock()
	if ended != nil {
		return state{}, ended
	}
	h.wakeUp()
	select {
	case s := <-c:
		return s, s.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	i := slices.Index(b.asks, c)
	if i >= 0 {
		b.asks = slices.Delete(b.asks, i, i+1)
	}
	b.mu.Unlock()
	if i < 0 { // it is being given to us
		if s := <-c; s.reader != nil {
			s.reader.Close()
		}
	}
	return state{}, ctx.Err()
}

// all returns those who wait, who do so no more.
func (b *backups) all(end error) []chan state {
	b.mu.Lock()
	defer b.mu.Unlock()
	asks := b.asks
	b.asks, b.over = nil, end
	return asks
}

// end answers those who wait, and those who come yet.
func (b *backups) end(err error) {
	for _, c := range b.all(err) {
		c <- state{err: err}
	}
}

// backUp gives the state to those who wait for it.
func (h *host) backUp() {
	if !h.backups.waits() || h.failed != nil {
		return
	}
	for _, c := range h.backups.all(nil) {
		s, r := h.m.Snapshot()
		if r == nil {
			c <- state{err: errNothing}
			continue
		}
		c <- state{Snapshot: s, ensemble: h.core.Ensemble, reader: r}
	}
}
