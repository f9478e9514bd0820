package core

import (
	"fmt"
	"strings"

	"github.com/ensemble-go/ensemble/zab"
)

func answer(r Reply[Result]) string {
	switch {
	case r.Err != nil:
		return strings.ReplaceAll(r.Err.Error(), "\n", " / ")
	case r.Result.First.Path != "":
		return fmt.Sprintf("%v %s", r.Zxid, r.Result.First.Path)
	}
	return r.Zxid.String()
}

func mark(k zab.Mark) string {
	s := fmt.Sprintf("mark: ensemble %d", k.Ensemble[0])
	for _, x := range []struct {
		is   bool
		word string
	}{{k.Counts, " counts"}, {k.Born, " born"}, {k.Spoilt, " spoilt"}} {
		if x.is {
			s += x.word
		}
	}
	return s + fmt.Sprintf(" promised %d joined %d", k.Promised, k.Joined)
}

// describe tells a message of this package, others by "".
func describe(msg Message) string {
	switch x := msg.(type) {
	case *Birth:
		s := fmt.Sprintf(" ensemble %d", x.Ensemble[0])
		for _, f := range []struct {
			is   bool
			word string
		}{{x.Counts, "counts"}, {x.Born, "born"}, {x.Blank, "blank"}, {x.Promised, "promised"}, {x.Found, "found"}} {
			if f.is {
				s += " " + f.word
			}
		}
		return s
	case *Forward:
		s := fmt.Sprintf(" of %d", x.Owner)
		if x.Open {
			s += fmt.Sprintf(" open for run %d", x.Run[0])
		}
		for _, c := range x.Calls {
			s += fmt.Sprintf(" %v/%d low %d", zab.Zxid(c.Name.Session), c.Name.Sequence, c.Low)
		}
		return s
	case *Compared:
		return fmt.Sprintf(" %v agrees %v", x.At, x.Agrees)
	case *Reinstall:
		return fmt.Sprintf(" %v", x.At)
	case *SyncAsk:
		return fmt.Sprintf(" %d", x.ID)
	case *SyncAnswer:
		return fmt.Sprintf(" %d: %v", x.ID, x.Zxid)
	}
	return ""
}

// String tells what a member says of itself.
func (a *actor) String() string {
	if a.m == nil {
		return fmt.Sprintf("%d does not run", a.id)
	}
	st := a.m.Status()
	s := fmt.Sprintf("%d %v", a.id, st.Role)
	if st.Leader != 0 && st.Leader != a.id {
		s += fmt.Sprintf(" %d", st.Leader)
	}
	switch {
	case st.Ready:
		s += " ready"
	default:
		s += []string{"", " no quorum", " synchronising", " blank", " impaired"}[st.Reason]
	}
	s += fmt.Sprintf(" epoch %d ensemble %d applied %v", st.Epoch, st.Ensemble[0], st.Applied)
	if st.Session != 0 {
		s += fmt.Sprintf(" session %v", zab.Zxid(st.Session))
	}
	if st.InFlight > 0 {
		s += fmt.Sprintf(" in flight %d", st.InFlight)
	}
	return s
}
