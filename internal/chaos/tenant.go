package main

import (
	"context"
	"errors"
	"reflect"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

// tenant is the session of a control connection, whose calls it numbers as the node does: 1, 2, 3, ... within a generation. The log has to agree.
type tenant struct {
	s          *ensemble.Session
	generation uint32
	sequence   uint64 // of the last call
}

// attach makes s the session of the connection.
func (t *tenant) attach(s *ensemble.Session, e *events) error {
	g := reflect.ValueOf(s).Elem().FieldByName("generation") // hosts have no use for it
	if !g.IsValid() {
		return errors.New("ensemble.Session has no generation any more")
	}
	*t = tenant{s: s, generation: uint32(g.Uint())}
	id, generation := uint64(s.ID()), t.generation
	e.note(event{Kind: evAttached, Session: id, Generation: generation})
	context.AfterFunc(s.Context(), func() {
		e.note(event{Kind: evLapsed, Session: id, Generation: generation, Given: errors.Is(context.Cause(s.Context()), ensemble.ErrNoQuorum)})
	})
	return nil
}

// called counts a call that was answered with err, if it was handed to the ensemble, and returns its name.
func (t *tenant) called(err error) (name core.Name) {
	var op *ensemble.OpError
	if err == nil || errors.As(err, &op) || errors.Is(err, ensemble.ErrUncertain) {
		t.sequence++
		name = core.Name{Session: uint64(t.s.ID()), Generation: t.generation, Sequence: t.sequence}
	}
	return name
}

// alive is a time at which the session's Context had not ended; 0: it has.
func (t *tenant) alive() int64 {
	now := monotonic()
	if t.s.Context().Err() != nil {
		return 0
	}
	return now
}

// deed carries out what a request says about the session of its connection.
func (t *tenant) deed(ctx context.Context, n *ensemble.Node, e *events, r request) reply {
	var s *ensemble.Session
	var err error
	switch r.Deed {
	case openSession:
		s, err = n.NewSession(ctx, ensemble.SessionOptions{Timeout: r.Lasts})
	case resumeSession:
		s, err = n.ResumeSession(ctx, r.Session, r.Password)
	case closeSession:
		if t.s == nil {
			return reply{Outcome: nothing, Error: "no session"}
		}
		err = t.s.Close(ctx)
		a := failed(err)
		a.On = &served{Session: uint64(t.s.ID()), Name: t.called(err)}
		return a
	}
	if err == nil {
		err = t.attach(s, e)
	}
	a := failed(err)
	if err == nil {
		a.On = &served{Session: uint64(s.ID()), Name: core.Name{Session: uint64(s.ID()), Generation: t.generation}, Alive: t.alive(), Password: s.Password(), Lasts: s.Timeout()}
	}
	return a
}

// write carries out parts on the session of the connection.
func (t *tenant) write(ctx context.Context, parts []part) reply {
	if t.s == nil {
		return reply{Outcome: nothing, Error: "no session"}
	}
	a, err := carryOut(ctx, t.s, parts)
	a.On = &served{Session: uint64(t.s.ID()), Name: t.called(err), Alive: t.alive()}
	return a
}

// read is the same for a read, which has no number.
func (t *tenant) read(ctx context.Context, path string) reply {
	if t.s == nil {
		return reply{Outcome: nothing, Error: "no session"}
	}
	a := read(ctx, t.s, path)
	a.On = &served{Session: uint64(t.s.ID()), Alive: t.alive()}
	return a
}
