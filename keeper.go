package ensemble

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// keeper is what callers, the node's goroutine and the one that writes a snapshot share. There is at most one that writes, and only while there is
// something to write: the state that it was given stays as it is for it, so nobody waits.
type keeper struct {
	mu     sync.Mutex
	asks   []chan kept        // callers that want one
	busy   bool               // one is being written
	done   *kept              // and that is what came of it; the node's goroutine takes it
	cancel context.CancelFunc // of the one that is being written
	group  sync.WaitGroup
	closed bool

	failure atomic.Pointer[error] // why the last one failed; nil: it did not
}

// kept is what came of a snapshot.
type kept struct {
	info snapshot.Info
	took time.Duration
	err  error
	dead error  // of the store: what is durable in it cannot be told any more
	upto uint64 // position before which the log goes; 0: none does
	log  int64  // bytes of log that it was to stand for
	asks []chan kept
}

// A snapshot that failed is tried again after firstRetry, then after twice as long each time, at most lastRetry.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// errNothing is for a state that is not to be kept: it is being replaced, or known to be wrong.
var errNothing = fmt.Errorf("%w: its state is being replaced", ErrImpaired)

// waits reports whether there is something for the node's goroutine to do.
func (k *keeper) waits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.done != nil || len(k.asks) > 0 && !k.busy
}

// ask puts a caller in line. Its channel has room for the answer.
func (k *keeper) ask() (chan kept, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, false
	}
	c := make(chan kept, 1)
	k.asks = append(k.asks, c)
	return c, true
}

// end answers those who wait, and waits for the goroutine.
func (k *keeper) end(err error) {
	k.mu.Lock()
	k.closed = true
	asks := k.asks
	k.asks = nil
	if k.cancel != nil {
		k.cancel()
	}
	k.mu.Unlock()
	for _, c := range asks {
		c <- kept{err: err}
	}
	k.group.Wait()
	k.mu.Lock()
	done := k.done
	k.mu.Unlock()
	if done != nil {
		for _, c := range done.asks {
			if done.err != nil {
				done.err = errors.Join(err, done.err)
			}
			c <- *done
		}
	}
}

// Snapshot has the tree, as it is here now, written to the data directory, and returns its zxid when it is durable. The node does that by itself, too:
// see Config.SnapshotBytes. Writers do not wait for it. Without Config.Dir the error is errors.ErrUnsupported, of the standard library. It is ErrImpaired while the
// state is being replaced, ErrClosed when the node has ended, and a *DirError when the disk refuses. When ctx ends first, it may be written all the same.
func (n *Node) Snapshot(ctx context.Context) (Zxid, error) {
	h := n.h
	if h.writer == nil {
		return 0, fmt.Errorf("%w: a node without a data directory keeps no snapshots", errors.ErrUnsupported)
	}
	c, ok := h.keeper.ask()
	if !ok {
		return 0, h.closedErr()
	}
	h.wakeUp()
	select {
	case k := <-c:
		return k.info.Zxid, k.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// keep begins and ends snapshots, between two steps.
func (h *host) keep() {
	if h.writer == nil || h.failed != nil {
		return
	}
	k := &h.keeper
	k.mu.Lock()
	done := k.done
	k.done = nil
	if done != nil {
		k.busy, k.cancel = false, nil
	}
	due := h.grown >= h.cfg.SnapshotBytes && (h.pause == 0 || !time.Now().Before(h.retryAt))
	begin := !k.busy && (done == nil || done.dead == nil) && (due || len(k.asks) > 0)
	var asks []chan kept
	if begin {
		asks, k.asks = k.asks, nil
	}
	k.mu.Unlock()
	if done != nil {
		h.keptOne(done)
		if done.dead != nil { // a write that may or may not be durable is the end of a node, here as in the log
			h.step(&core.Failed{Err: done.dead})
			h.settle()
		}
	}
	if begin {
		h.snapshot(asks)
	}
}

// keptOne tells everybody what came of a snapshot.
func (h *host) keptOne(k *kept) {
	if k.err != nil {
		h.grown += k.log
		h.pause = min(max(2*h.pause, firstRetry), lastRetry)
		h.retryAt = time.Now().Add(h.pause)
		h.stats.snapshotsFailed.Add(1)
		h.keeper.failure.Store(&k.err)
		h.cfg.Logger.Warn("ensemble: no snapshot was kept", "member", h.cfg.ID, "zxid", k.info.Zxid, "err", k.err)
	} else {
		h.pause = 0
		h.places.Trim(k.upto)
		h.stats.snapshots.Add(1)
		h.keeper.failure.Store(nil)
		h.cfg.Logger.Info("ensemble: snapshot", "member", h.cfg.ID, "zxid", k.info.Zxid, "bytes", k.info.Size, "took", k.took)
		if h.cfg.Trace.Snapshotted != nil {
			h.cfg.Trace.Snapshotted(SnapshotInfo{Zxid: k.info.Zxid, Bytes: k.info.Size, Took: k.took})
		}
	}
	for _, c := range k.asks {
		c <- *k
	}
}

// snapshot has a goroutine write the applied state.
func (h *host) snapshot(asks []chan kept) {
	var s zab.Snapshot
	var r zab.SnapshotReader
	if h.applied != h.writer.disk.Newest() {
		s, r = h.m.Snapshot()
	}
	if r == nil {
		k := kept{info: snapshot.Info{Meta: snapshot.Meta{Zxid: h.applied}}}
		if h.applied != h.writer.disk.Newest() {
			k.err = errNothing
		}
		for _, c := range asks {
			c <- k
		}
		return // if one is due, it is still due when there is something new
	}
	grown := h.grown
	h.grown = 0
	meta := snapshot.Meta{Ensemble: h.core.Ensemble, Zxid: s.Zxid, Pos: h.places.Of(s.Zxid), Created: time.Now(), Spans: s.Spans, Members: s.Members}
	k := &h.keeper
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	k.busy, k.cancel = true, cancel
	k.mu.Unlock()
	k.group.Go(func() {
		defer cancel()
		done := h.write(ctx, meta, r)
		done.asks, done.log = asks, grown
		k.mu.Lock()
		k.done = done
		k.mu.Unlock()
		h.wakeUp()
	})
}

// write makes one snapshot durable, and lets go of what is not needed any more.
func (h *host) write(ctx context.Context, meta snapshot.Meta, r zab.SnapshotReader) *kept {
	k := h.writeOne(ctx, meta, r)
	if err := h.writer.disk.States.Err(); err != nil {
		k.dead = dirError(h.writer.disk.dir, err)
		k.err = k.dead
	}
	return k
}

func (h *host) writeOne(ctx context.Context, meta snapshot.Meta, r zab.SnapshotReader) *kept {
	defer r.Close()
	begin := time.Now()
	disk := h.writer.disk
	k := &kept{info: snapshot.Info{Meta: meta}}
	info, err := disk.States.Write(ctx, meta, r)
	if err != nil {
		k.err = dirError(disk.dir, err)
		return k
	}
	k.info, k.took = info, time.Since(begin)
	disk.Kept(&info)
	if pos, err := disk.Retain(info.Zxid); err != nil {
		h.cfg.Logger.Warn("ensemble: old snapshots were not removed", "member", h.cfg.ID, "err", err)
	} else {
		k.upto = pos
		h.writer.retainFrom(pos)
	}
	return k
}
