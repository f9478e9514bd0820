package golden

import "github.com/ensemble-go/ensemble/datatree"

// Sessions are the callers and watchers of a subject.
type Sessions struct {
	all    []session
	events []Event
}

type session struct {
	caller  *datatree.Caller
	watcher *datatree.Watcher
}

// NewSessions returns as many as a trace has.
func NewSessions(h *Header) Sessions { return Sessions{all: make([]session, h.Sessions)} }

// Connect begins a connection whose watches are among those given.
func (x *Sessions) Connect(s int, ws *datatree.Watches, identities []datatree.Identity) {
	x.Disconnect(s)
	a := &x.all[s]
	a.caller = &datatree.Caller{Session: uint64(s) + 1, Identities: identities}
	a.watcher = ws.New(a.caller, func(e datatree.WatchEvent) { x.events = append(x.events, Event{s, eventNames[e.Type], e.Path}) })
}

// Disconnect ends it.
func (x *Sessions) Disconnect(s int) {
	if w := x.all[s].watcher; w != nil {
		w.Close()
	}
}

// Caller returns who a session is.
func (x *Sessions) Caller(s int) *datatree.Caller { return x.all[s].caller }

// Watcher returns the connection of a session.
func (x *Sessions) Watcher(s int) *datatree.Watcher { return x.all[s].watcher }

// Events returns what was told since the last call.
func (x *Sessions) Events() []Event {
	e := x.events
	x.events = nil
	return e
}
