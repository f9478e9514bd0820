package zab

// End describes the state that the whole of a recovered history leads to, with its end, which may never have been committed.
func (r *Recovered) End() Snapshot {
	m := New(Config{}, *r, nil)
	for _, e := range r.Entries {
		if e.Kind == EntryReadmit {
			m.readmit(e)
		}
	}
	return Snapshot{Zxid: m.hist.last(), Spans: m.hist.spans, Members: m.readmitted}
}
