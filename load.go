package ensemble

import (
	"errors"
	"fmt"
	"io"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/snapshot"
)

// errUndecodable says that a snapshot is whole and holds no state.
var errUndecodable = errors.New("it cannot be decoded")

// loadState builds a state from a snapshot, chunk by chunk: each is decoded while the processor has it at hand, and one is in memory at a time.
func loadState(in *snapshot.Reader, maxData int) (*core.Znodes, error) {
	l := core.NewLoader(maxData)
	for {
		c, err := in.Chunk()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := l.Add(c); err != nil {
			return nil, fmt.Errorf("%w: %w", errUndecodable, err)
		}
		in.Reuse(c)
	}
	state, err := l.Finish()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUndecodable, err)
	}
	return state, nil
}
