package ensemble

import (
	"errors"
	"fmt"
	"io"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/snapshot"
)

// loadAhead is how many chunks are read before they are wanted.
const loadAhead = 8

// errUndecodable says that a snapshot is whole and holds no state.
var errUndecodable = errors.New("it cannot be decoded")

// loadState builds a state from a snapshot. The file is read and checked on another goroutine, which has ended when this returns, and no more than loadAhead chunks
// are in memory at once.
func loadState(in *snapshot.Reader, maxData int) (*core.Znodes, error) {
	chunks, stop := make(chan []byte, loadAhead), make(chan struct{})
	var failed error // of the file; set before chunks is closed
	go func() {
		defer close(chunks)
		for {
			c, err := in.Chunk()
			if err != nil {
				failed = err
				return
			}
			select {
			case chunks <- c:
			case <-stop:
				return
			}
		}
	}()
	l := core.NewLoader(maxData)
	var err error
	for c := range chunks {
		if err = l.Add(c); err != nil {
			break
		}
	}
	close(stop)
	for range chunks { // until the other has ended
	}
	if failed != nil && failed != io.EOF {
		return nil, failed
	}
	var state *core.Znodes
	if err == nil {
		state, err = l.Finish()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	return state, nil
}
