package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// effect is what a record of a transaction does.
type effect struct {
	Verb    verb // create, also of a sequential one; set; delete
	Path    string
	Tag     string
	Version int32 // after a set
}

// txn is a transaction of the log that changed the tree.
type txn struct {
	Zxid    ensemble.Zxid
	Effects []effect
}

// decided is what the members' logs say together.
type decided struct {
	Txns    []txn // in order
	Refused map[ensemble.Zxid]bool
	Digest  uint64 // of the tree that they lead to
	Entries int
}

// readLog returns the entries of a member that has stopped: those in force, as its directory has them, and those of the files that it has removed. Nothing of the node is used
// for that but the format.
func readLog(dir string) (map[ensemble.Zxid]zab.Entry, error) {
	var entries []zab.Entry
	_, err := wal.Inspect(vfs.OS(), dir, func(_ string, _ int64, r *zab.Record) {
		switch r.Kind {
		case zab.RecordEntry:
			e := r.Entry
			e.Data = bytes.Clone(e.Data)
			entries = append(entries, e)
		case zab.RecordTrunc:
			for len(entries) > 0 && entries[len(entries)-1].Zxid > r.Zxid {
				entries = entries[:len(entries)-1]
			}
		case zab.RecordReset:
			entries = nil
		}
	})
	if err != nil {
		return nil, err
	}
	log := map[ensemble.Zxid]zab.Entry{}
	for _, e := range entries {
		log[e.Zxid] = e
	}
	files, err := filepath.Glob(filepath.Join(keptDir(dir), "*.log"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		var differs error
		err := wal.Walk(vfs.OS(), filepath.Dir(file), filepath.Base(file), func(p *wal.Piece) {
			if p.Fault != "" || p.Entry == nil {
				return
			}
			e := *p.Entry
			e.Data = bytes.Clone(e.Data)
			if was, ok := log[e.Zxid]; ok && !same(was, e) {
				differs = fmt.Errorf("%s and a later file have different entries %v", file, e.Zxid)
			}
			log[e.Zxid] = e
		})
		if err = errors.Join(err, differs); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// same compares two entries of one zxid. There is never more than one, acknowledged or not: a zxid is that of one leader.
func same(a, b zab.Entry) bool {
	return a.Prev == b.Prev && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) && a.Member == b.Member && a.Incarnation == b.Incarnation
}

// keptDir is where keepLogs puts the log of a member with the data directory dir.
func keptDir(dir string) string { return dir + ".kept" }

// keepLogs gives every file of the log in dir a second name, until ctx ends: a member removes what its snapshots have made superfluous, and the oracle needs it.
func keepLogs(ctx context.Context, dir string) error {
	if err := os.Mkdir(keptDir(dir), 0o700); err != nil {
		return err
	}
	for {
		files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, file := range files {
			err := os.Link(file, filepath.Join(keptDir(dir), filepath.Base(file)))
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

// merge follows the history back from its last entry, through the logs of all members: one of them may lack what it was given in a snapshot. What several
// have must be the same.
func merge(logs map[ensemble.ID]map[ensemble.Zxid]zab.Entry, last ensemble.Zxid) (entries []zab.Entry, err error) {
	for z := last; z != 0; {
		var e zab.Entry
		var from ensemble.ID
		for id := ensemble.ID(1); id <= size; id++ {
			other, ok := logs[id][z]
			switch {
			case !ok:
			case from == 0:
				e, from = other, id
			case !same(e, other):
				return nil, fmt.Errorf("at %v members %d and %d have different entries", z, from, id)
			}
		}
		if from == 0 {
			return nil, fmt.Errorf("no member has the entry %v, before what all have applied", z)
		}
		entries = append(entries, e)
		if e.Prev >= z {
			return nil, fmt.Errorf("the entry before %v is %v", z, e.Prev)
		}
		z = e.Prev
	}
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries, nil
}

// decode reads a history. The effects are read by a decoder of our own; beside that a tree carries them out, whose digest is returned.
func decode(entries []zab.Entry) (*decided, error) {
	d := &decided{Refused: map[ensemble.Zxid]bool{}, Entries: len(entries)}
	tree := datatree.New(4 << 20)
	for _, e := range entries {
		r := reader{b: e.Data}
		if e.Kind != zab.EntryData || len(e.Data) == 0 || r.byte() != 1 { // 1: a call; others are of members, sessions and digests
			if err := tree.Advance(e.Zxid); err != nil {
				return nil, err
			}
			continue
		}
		r.uvarint() // session
		r.uvarint() // its generation
		r.uvarint() // number of the call
		r.uvarint() // low
		at, verdict := int64(r.uvarint()), r.uvarint()
		if verdict != 0 {
			d.Refused[e.Zxid] = true
			if err := tree.Advance(e.Zxid); err != nil {
				return nil, err
			}
			continue
		}
		rest := r.b
		t := txn{Zxid: e.Zxid}
		for n := r.array(); n > 0 && !r.bad; n-- {
			t.Effects = append(t.Effects, r.effect())
		}
		if r.bad || len(r.b) != 0 {
			return nil, fmt.Errorf("at %v: cannot read the transaction %x", e.Zxid, e.Data)
		}
		d.Txns = append(d.Txns, t)
		if _, err := tree.Apply(e.Zxid, at, rest); err != nil {
			return nil, fmt.Errorf("at %v: %w", e.Zxid, err)
		}
	}
	v := tree.View()
	defer v.Release()
	d.Digest = v.Digest()
	return d, nil
}

// reader reads varints and MessagePack. After the first fault it yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return make([]byte, min(n, 8))
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// big reads a number of n bytes.
func (r *reader) big(n uint64) (v uint64) {
	for _, b := range r.take(n) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (r *reader) array() uint64 {
	switch t := r.byte(); {
	case t&0xf0 == 0x90:
		return uint64(t & 0x0f)
	case t == 0xdc:
		return r.big(2)
	case t == 0xdd:
		return r.big(4)
	}
	r.bad = true
	return 0
}

func (r *reader) uint() uint64 {
	switch t := r.byte(); {
	case t < 0x80:
		return uint64(t)
	case t >= 0xcc && t <= 0xcf:
		return r.big(1 << (t - 0xcc))
	}
	r.bad = true
	return 0
}

// text reads a string or bytes.
func (r *reader) text() string {
	switch t := r.byte(); {
	case t&0xe0 == 0xa0:
		return string(r.take(uint64(t & 0x1f)))
	case t >= 0xd9 && t <= 0xdb:
		return string(r.take(r.big(1 << (t - 0xd9))))
	case t >= 0xc4 && t <= 0xc6:
		return string(r.take(r.big(1 << (t - 0xc4))))
	case t == 0xc0:
		return ""
	}
	r.bad = true
	return ""
}

func (r *reader) effect() (e effect) {
	fields := r.array()
	switch kind := r.uint(); {
	case kind == 1 && fields == 5:
		e.Verb, e.Path, e.Tag = verbCreate, r.text(), tagOf([]byte(r.text()))
		r.uint() // mode
		r.uint() // children ever created below the parent
	case kind == 2 && fields == 4:
		e.Verb, e.Path, e.Tag = verbSet, r.text(), tagOf([]byte(r.text()))
		e.Version = int32(uint32(r.uint()))
	case kind == 3 && fields == 2:
		e.Verb, e.Path = verbDelete, r.text()
	default:
		r.bad = true
	}
	return e
}
