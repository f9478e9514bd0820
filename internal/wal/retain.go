package wal

import "github.com/ensemble-go/ensemble/internal/mutant"

// Retain says that no record before pos is needed any more, and removes the segments that hold nothing else; the last one always
// stays, and so does one that is being read, until the next call. The caller answers for pos: a snapshot holds all that is before it, and so does
// every older snapshot that is to be of use.
func (l *Log) Retain(pos uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	pos = min(pos, l.hist.pos+1)
	l.mu.Lock()
	n := 0
	for n < len(l.segments)-1 && l.segments[n+1].first <= pos && l.segments[n].readers == 0 {
		n++
	}
	if mutant.On("wal-purge-one-more") && n < len(l.segments)-1 {
		n++
	}
	gone := l.segments[:n:n]
	if n > 0 {
		l.segments = l.segments[n:]
		l.hist.forget(l.segments[0])
	}
	l.mu.Unlock()
	if n == 0 {
		return nil
	}
	s := l.slot
	s.from = min(l.segments[0].first, pos)
	if err := l.writeMark(s); err != nil {
		return err
	}
	for _, s := range gone {
		l.fs.Remove(l.path(s.file)) // one that somebody else holds open stays: it is of no account, and the next start removes it
	}
	return l.syncDir()
}
