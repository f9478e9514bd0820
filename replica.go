package ensemble

import (
	"errors"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
)

// replica is the state machine with the tree itself as what readers see: they take a View, which keeps old versions in memory, only when they
// want one. What a step has applied can be read as soon as it is applied, before the step's answers are given.
type replica struct{ *core.Znodes }

var _ core.StateMachine[*datatree.Tree, core.Result] = replica{}

// View returns the tree. It is another one after an Install.
func (r replica) View() *datatree.Tree { return r.Tree() }

// refusal completes what the state machine says of a refused request: which op it was, and its path.
func refusal(err error, ops ...Op) error {
	e, ok := errors.AsType[*OpError](err)
	if !ok || e.Op != "" {
		return err
	}
	full := *e
	full.Op = "multi"
	if i := max(0, e.Index); i < len(ops) {
		full.Op, full.Path = datatree.NameOf(ops[i])
	}
	return &full
}
