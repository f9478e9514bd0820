package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// effect is what a record of a transaction does.
type effect struct {
	Verb    verb // create, also of a sequential one; set; delete
	Path    string
	Tag     string
	Version int32  // after a set
	Owner   uint64 // of what is created; 0: it is no ephemeral
}

// change is what a transaction does to sessions.
type change uint8

const (
	call    change = iota // nothing: it decides a call of Name
	opens                 // Session, a member's own
	creates               // Session, a client's
	moves                 // Session, to its next generation
	expires               // Session, by the leader's decision
	closes                // Session, on its own call of Name
)

// txn is a transaction of the log.
type txn struct {
	Zxid    ensemble.Zxid
	Effects []effect // of one that ends a session: what is not there any more of what it owned
	Change  change
	Name    core.Name // of the call that it decides; none of opens and expires
	Refused bool
	Session uint64
	Ends    uint64 // of opens: the session that is over with it; 0: none
	Lasts   time.Duration
}

// decided is what the members' logs say together.
type decided struct {
	Txns       []txn             // in order
	Digest     uint64            // of the tree that they lead to
	Ephemerals map[string]uint64 // in it, and their owners
	Entries    int
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

// decode reads a history. The effects are read by a decoder of our own; beside that a tree carries them out, whose digest is returned. A transaction that ends a session does not say
// which ephemerals it takes along: that is asked of the tree.
func decode(entries []zab.Entry) (*decided, error) {
	d := &decided{Entries: len(entries)}
	tree := datatree.New(4 << 20)
	owned := map[uint64]map[string]bool{}
	owner := map[string]uint64{}
	for _, e := range entries {
		if e.Kind != zab.EntryData || len(e.Data) == 0 { // others are of members and digests
			if err := tree.Advance(e.Zxid); err != nil {
				return nil, err
			}
			continue
		}
		h, ok := core.ReadHeader(e.Data)
		if !ok {
			return nil, fmt.Errorf("at %v: cannot read the transaction %x", e.Zxid, e.Data)
		}
		t := txn{Zxid: e.Zxid, Name: h.Name, Refused: h.Code != 0, Lasts: time.Duration(h.Timeout) * time.Millisecond}
		whole := false // it has a transaction of the tree
		r := reader{b: e.Data[1:]}
		switch {
		case h.Opens:
			t.Change, t.Session, t.Ends = opens, uint64(e.Zxid), h.Ends
			r.uvarint() // owner
			r.take(16)  // its run
			r.uvarint() // time
			if e.Data[0] == 3 {
				r.uvarint() // timeout
				r.uvarint() // ends
				if r.byte() != 0 {
					r.take(32) // the key
				}
			}
			whole = h.Ends != 0
		case h.Creates:
			t.Change, t.Session = creates, uint64(e.Zxid)
		case h.Moves != 0:
			t.Change, t.Session = moves, h.Moves
		case h.Ends != 0 && h.Name.Session == 0:
			t.Change, t.Session = expires, h.Ends
			r.uvarint() // session
			r.uvarint() // time
			whole = true
		default:
			if h.Ends != 0 {
				t.Change, t.Session = closes, h.Ends
			}
			for range 6 { // session, generation, number, low, time, verdict
				r.uvarint()
			}
			whole = !t.Refused
		}
		if !whole {
			d.Txns = append(d.Txns, t)
			if err := tree.Advance(e.Zxid); err != nil {
				return nil, err
			}
			continue
		}
		ops := r.b
		if over := t.over(); over == 0 {
			for n := r.array(); n > 0 && !r.bad; n-- {
				t.Effects = append(t.Effects, r.effect())
			}
		} else if r.array() != 1 || r.array() != 2 || r.uint() != 7 || r.uint() != over {
			r.bad = true
		}
		if r.bad || len(r.b) != 0 {
			return nil, fmt.Errorf("at %v: cannot read the transaction %x", e.Zxid, e.Data)
		}
		if _, err := tree.Apply(e.Zxid, h.Time, ops); err != nil {
			return nil, fmt.Errorf("at %v: %w", e.Zxid, err)
		}
		for _, x := range t.Effects {
			switch {
			case x.Verb == verbDelete:
				delete(owned[owner[x.Path]], x.Path)
				delete(owner, x.Path)
			case x.Owner != 0:
				if owned[x.Owner] == nil {
					owned[x.Owner] = map[string]bool{}
				}
				owned[x.Owner][x.Path], owner[x.Path] = true, x.Owner
			}
		}
		for _, path := range slices.Sorted(maps.Keys(owned[t.over()])) {
			if z, there := tree.Get(path); !there || z.Stat.EphemeralOwner != t.over() {
				t.Effects = append(t.Effects, effect{Verb: verbDelete, Path: path})
			}
			delete(owner, path)
		}
		delete(owned, t.over())
		d.Txns = append(d.Txns, t)
	}
	v := tree.View()
	defer v.Release()
	d.Digest, d.Ephemerals = v.Digest(), map[string]uint64{}
	for z := range v.Walk("/") {
		if z.Stat.EphemeralOwner != 0 {
			d.Ephemerals[z.Path] = z.Stat.EphemeralOwner
		}
	}
	return d, nil
}

// over is the session that ends with t; 0: none.
func (t *txn) over() uint64 {
	switch t.Change {
	case opens:
		return t.Ends
	case expires, closes:
		return t.Session
	}
	return 0
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
	case kind == 1 && (fields == 5 || fields == 9):
		e.Verb, e.Path, e.Tag = verbCreate, r.text(), tagOf([]byte(r.text()))
		r.uint() // mode
		r.uint() // children ever created below the parent
		if fields == 9 {
			e.Owner = r.uint()
			r.uint() // TTL
			for n := r.array(); n > 0 && !r.bad; n-- {
				r.array()
				r.uint() // permissions
				r.text() // scheme
				r.text() // id
			}
			r.uint() // parents made
		}
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
