package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Random programs with crashes, compared with the plain list after each start: what is recovered is a prefix of what was handed
// over, with all that was reported durable. Between crashes history is read back and compared too.
func TestTwin(t *testing.T) {
	seeds := 300
	if crashtest.Slow {
		seeds = 50
	}
	crashtest.Programs(t, seeds, twin)
}

func twin(seed uint64) (crashes int, err error) {
	r := rand.New(rand.NewPCG(seed, 2))
	disk, c, m := vfs.NewMemory(), &clock{}, newModel()
	a := newAuthor(seed, m)
	o := testOptions(c, seed)
	for range 12 {
		crashtest.StopAfter(disk, r, 1+r.IntN(60))
		l, rec, err := Open(disk, o)
		if err == nil {
			k, err := m.match(&rec)
			if err != nil {
				return crashes, err
			}
			m.cut(k)
			for err == nil {
				if err = a.step(l, c); err == nil && r.IntN(4) == 0 {
					err = readBack(r, l, m)
				}
				if err == nil && r.IntN(30) == 0 {
					l.Close() // in the middle of which the power may fail
					break
				}
				if _, damaged := err.(*DamageError); err != nil && l.Err() == nil && !damaged {
					return crashes, err
				}
			}
		}
		crashes++
		crashtest.Crash(disk, r)
	}
	_, rec, err := Open(disk, o)
	if err != nil {
		return crashes, err
	}
	_, err = m.match(&rec)
	return crashes, err
}

// readBack compares a range of history with the model.
func readBack(r *rand.Rand, l *Log, m *model) error {
	s := m.now()
	skip := 0
	for skip < len(s.entries) && s.entries[skip].pos < m.kept {
		skip++
	}
	i := skip + r.IntN(len(s.entries)-skip+1)
	after := s.base
	if i > 0 {
		after = s.entries[i-1].Zxid
	}
	j := i + r.IntN(len(s.entries)-i+1)
	upTo := after
	if j > 0 {
		upTo = s.entries[j-1].Zxid
	}
	want, budget := s.entries[i:max(i, j)], 1+r.IntN(3000)
	entries, err := l.Entries(after, upTo, budget)
	if err != nil {
		if i == skip && skip > 0 && err == ErrGone {
			return fmt.Errorf("what is to be kept is gone, from %v on", after)
		}
		return err
	}
	if len(want) > 0 && len(entries) == 0 || len(entries) > len(want) {
		return fmt.Errorf("%d entries after %v up to %v, want %d", len(entries), after, upTo, len(want))
	}
	bytes := 0
	for i, e := range entries {
		if err := sameEntry(e, want[i].Entry); err != nil {
			return err
		}
		bytes += len(e.Data) + entryBytes
	}
	if len(entries) > 1 && bytes > budget {
		return fmt.Errorf("%d bytes, asked for %d", bytes, budget)
	}
	if len(entries) < len(want) && bytes+len(want[len(entries)].Data)+entryBytes <= budget {
		return fmt.Errorf("fewer entries than fit")
	}
	return nil
}
