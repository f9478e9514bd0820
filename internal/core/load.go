package core

import (
	"math"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/session"
)

// Loader builds a state from the chunks of its snapshot as they come, and keeps none of them.
type Loader struct {
	maxData  int
	head     []byte // of the chunks, as long as the sessions are not all there
	sessions *session.Table
	now      int64
	tree     *datatree.Loader
	err      error
}

// NewLoader returns a Loader of a state that refuses data longer than maxData later on.
func NewLoader(maxData int) *Loader {
	return &Loader{maxData: maxData, tree: datatree.NewLoader(maxData)}
}

// Add takes the next chunk. After an error the Loader is of no more use.
func (l *Loader) Add(chunk []byte) error {
	switch {
	case l.err != nil:
	case l.sessions != nil:
		l.err = l.tree.Add(chunk)
	default:
		l.head = append(l.head, chunk...)
		l.err = l.begin()
	}
	return l.err
}

// begin reads what stands before the tree, when all of it is there.
func (l *Loader) begin() (err error) {
	h := header{b: l.head}
	format, at, n := h.uint(math.MaxUint64), int64(h.uint(math.MaxInt64)), h.uint(math.MaxUint64)
	switch {
	case h.bad && len(l.head) < 3*10, !h.bad && n > uint64(len(h.b)): // the rest comes with the next chunk
		return nil
	case h.bad || format != stateFormat || n < uint64(len(h.b)):
		return ErrState
	}
	l.sessions, err = session.Decode(h.b)
	l.now, l.head = at, nil
	return err
}

// Finish returns the state when all chunks were added.
func (l *Loader) Finish() (*Znodes, error) {
	if l.err == nil && l.sessions == nil {
		l.err = ErrState
	}
	if l.err != nil {
		return nil, l.err
	}
	tree, err := l.tree.Finish()
	if err != nil {
		return nil, err
	}
	return &Znodes{tree: tree, sessions: l.sessions, now: l.now, maxData: l.maxData}, nil
}
