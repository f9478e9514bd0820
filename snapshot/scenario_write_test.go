package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/ensemble-go/ensemble/zab"
)

// A state is written while transactions, multis among them, go on behind every chunk: what is loaded is the state at the zxid of the View, in every field
// that the digest covers. (Fuzzy snapshots: ZOOKEEPER-3125, 3144, 3145.)
func snapshotDuringWrites() error {
	for seed := range uint64(20) {
		b := newBench(seed)
		m, err := newMember()
		if err != nil {
			return err
		}
		for range 60 {
			if err := m.random(b.r); err != nil {
				return err
			}
		}
		meta, want := m.meta(), m.Digest()
		before := m.Snapshot(100)
		during := &busy{SnapshotReader: before, m: m, r: b.r}
		i, err := b.s.Write(context.Background(), meta, during)
		before.Close()
		if err = errors.Join(err, during.err, b.err); err != nil {
			return err
		}
		if i.Chunks < 5 || m.Digest() == want {
			return fmt.Errorf("nothing happened in %d chunks", i.Chunks)
		}
		_, _, err = b.s.Load(Need{From: 1, Upto: m.zxid}, func(r *Reader) error {
			z, err := decode(r)
			if err == nil && z.Digest() != want {
				err = errors.New("another state than at the View")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type busy struct {
	zab.SnapshotReader
	m   *member
	r   *rand.Rand
	err error
}

func (b *busy) Next() ([]byte, bool, error) {
	for range 3 {
		b.err = errors.Join(b.err, b.m.random(b.r))
	}
	return b.SnapshotReader.Next()
}
