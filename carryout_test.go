package ensemble

import (
	"errors"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
)

// The last Output of a node that fails has answers of two kinds: what was decided before it failed is as certain as ever, and what was only
// under way is not.
func TestAnswersOfAFailingNode(t *testing.T) {
	disk := errors.New("disk")
	for name, x := range map[string]struct {
		reply core.Reply[core.Result]
		is    []error
		not   []error
	}{
		"decided":   {core.Reply[core.Result]{Zxid: 7, Err: ErrNodeExists}, []error{ErrNodeExists}, []error{ErrUncertain, ErrClosed}},
		"done":      {core.Reply[core.Result]{Zxid: 7}, []error{nil}, nil},
		"under way": {core.Reply[core.Result]{Err: errors.Join(disk, core.ErrUncertain)}, []error{ErrUncertain, ErrClosed, disk}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{}
			h.failed = disk
			h.inFlight.Store(1)
			c := h.borrow(write)
			c.begin = time.Now()
			c.state.Store(handed)
			x.reply.Ticket = h.slots.put(c)
			h.answer([]core.Reply[core.Result]{x.reply})
			<-c.done
			for _, want := range x.is {
				if !errors.Is(c.err, want) {
					t.Errorf("%v, want %v", c.err, want)
				}
			}
			for _, no := range x.not {
				if errors.Is(c.err, no) {
					t.Errorf("%v is %v", c.err, no)
				}
			}
			if h.inFlight.Load() != 0 {
				t.Error("still in flight")
			}
		})
	}
}
