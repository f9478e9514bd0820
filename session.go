package ensemble

// Session is what the ensemble knows a client by: its writes are numbered within it, which makes them take effect exactly once. For now each
// node has one of its own, made anew in each run, and there are no others.
type Session struct {
	client
	id SessionID
}

// ID returns the id of the session; 0 before the node's first readiness.
func (s *Session) ID() SessionID { return s.id }

// Session returns s.
func (s *Session) Session() *Session { return s }
