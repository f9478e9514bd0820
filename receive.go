package ensemble

import (
	"errors"
	"sync"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// receiver takes in a snapshot that another member sends, piece by piece, beside the loop: each is decoded and, with a data directory, written. The machine
// lets no more pieces come than it is told were taken, so few of them are ever in memory. What there is outlives the leader's link: the next attempt goes on
// with it, and with a data directory even the next run.
type receiver struct {
	mu       sync.Mutex
	pieces   []zab.Piece
	ensemble zab.EnsembleID
	busy     bool // the goroutine runs
	closed   bool

	// Of the goroutine.
	loader *core.Loader       // nil: there is nothing
	file   *snapshot.Receiver // nil without a data directory
	at     zab.Position
}

// takeIn hands pieces to the goroutine, which runs while there are any.
func (h *host) takeIn(pieces []zab.Piece) {
	if len(pieces) == 0 {
		return
	}
	r := &h.receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pieces = append(r.pieces, pieces...)
	r.ensemble = h.core.Ensemble
	if !r.busy && !r.closed {
		r.busy = true
		h.loaded.group.Go(h.takePieces)
	}
}

func (h *host) takePieces() {
	r := &h.receiver
	for {
		r.mu.Lock()
		pieces, ensemble := r.pieces, r.ensemble
		r.pieces = nil
		if len(pieces) == 0 || r.closed {
			r.busy = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		var told core.Taken
		for i := range pieces {
			p := &pieces[i]
			if told.Err != nil && told.Snapshot == p.Snapshot {
				continue
			}
			told = core.Taken{Snapshot: p.Snapshot}
			told.State, told.Err = h.takePiece(p, ensemble)
			told.At = r.at
		}
		if _, disk := errors.AsType[*snapshot.FailedError](told.Err); disk {
			h.loaded.put(&core.Failed{Err: dirError(h.cfg.Dir, told.Err)})
		} else if told.Snapshot != nil {
			h.loaded.put(&told)
		}
		if told.Err != nil && !errors.Is(told.Err, snapshot.ErrClosed) {
			h.cfg.Logger.Warn("ensemble: a snapshot could not be received", "member", h.cfg.ID, "err", told.Err)
		}
		h.wakeUp()
	}
}

// takePiece returns the state with the last piece.
func (h *host) takePiece(p *zab.Piece, ensemble zab.EnsembleID) (state any, err error) {
	r := &h.receiver
	defer func() {
		if err != nil {
			r.drop()
		}
	}()
	switch {
	case p.Snapshot == nil:
		r.drop()
		if h.writer != nil {
			h.writer.disk.Hold(nil)
		}
		return nil, nil
	case p.Begin && p.Resume && r.loader != nil:
		return nil, nil
	case p.Begin:
		return nil, h.beginReceiving(p.Snapshot, ensemble)
	case r.loader == nil || p.Index != r.at.Chunk:
		return nil, errNotBegun
	}
	if err := r.loader.Add(p.Data); err != nil {
		return nil, err
	}
	if r.file != nil {
		if err := r.file.Add(p.Index, p.Data); err != nil {
			return nil, err
		}
	}
	if r.at = r.at.After(p.Data); !p.Last {
		return nil, nil
	}
	if state, err = r.loader.Finish(); err != nil {
		return nil, err
	}
	if r.file != nil {
		h.writer.disk.Hold(r.file) // for the RESET
	}
	r.loader, r.file = nil, nil
	return state, nil
}

var errNotBegun = errors.New("ensemble: a piece of a snapshot that was never begun")

func (h *host) beginReceiving(s *zab.Snapshot, ensemble zab.EnsembleID) (err error) {
	r := &h.receiver
	r.drop()
	r.loader = core.NewLoader(h.cfg.MaxData)
	if h.writer == nil {
		return nil
	}
	disk := h.writer.disk
	disk.Hold(nil)
	meta := snapshot.Meta{ID: snapshot.ID(s.ID), Ensemble: ensemble, Zxid: s.Zxid, Spans: s.Spans, Members: s.Members}
	if r.file, err = disk.States.Receive(meta, r.addAgain); err != nil {
		return err
	}
	r.at = zab.Position(r.file.Position())
	return nil
}

// addAgain takes a chunk of an earlier run. There may be gigabytes of them, and a node that closes does not wait for that.
func (r *receiver) addAgain(chunk []byte) error {
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return snapshot.ErrClosed
	}
	return r.loader.Add(chunk)
}

// drop gives up what there is.
func (r *receiver) drop() {
	if r.file != nil {
		r.file.Abort()
	}
	r.loader, r.file, r.at = nil, nil, zab.Position{}
}

// close ends the goroutine after the piece that it is at. What is on disk stays for the next run.
func (r *receiver) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
}

// closeFile is called when the goroutine has ended.
func (r *receiver) closeFile() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
