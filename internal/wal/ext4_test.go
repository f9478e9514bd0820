//go:build ext4 && linux

package wal

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/ext4"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// A real file system loses its power in the middle of writes, with and without a flush of its journal, and is mounted again. Everything that was
// reported durable is there, also what was reported while the shutdown was under way:
//
//	go test -tags ext4 -run TestExt4 -v ./internal/wal
func TestExt4(t *testing.T) {
	fs := ext4.New(t, 300<<20)
	r := rand.New(rand.NewPCG(1, 7))
	c, m := &clock{}, newModel()
	a, o := newAuthor(77, m), testOptions(c, 77)
	o.Dir, o.SegmentSize, o.ahead = filepath.Join(fs.Mount, "log"), 64<<10, 16<<10
	torn, records := 0, 0
	const rounds = 100
	for round := range rounds {
		l, rec, err := Open(vfs.OS(), o)
		must(t, err)
		k, err := m.match(&rec)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if rec.Verdict.Kind == TornTail {
			torn++
		}
		records += k
		m.cut(k)
		m.states, m.done = m.states[k:], 0
		steps, now, end := 1+r.IntN(60), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(end)
			for i := 0; a.step(l, c) == nil; i++ {
				if i == steps {
					close(now)
				}
			}
		}()
		<-now
		fs.PowerLoss([]ext4.Flag{ext4.LogFlush, ext4.NoLogFlush}[round%2])
		<-end
		l.Close()
		fs.Remount()
	}
	t.Logf("%d shutdowns, %d records, %d torn tails, 0 lost", rounds, records, torn)
}
