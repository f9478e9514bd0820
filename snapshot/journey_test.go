package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

// A log and snapshots in one directory, with random programs and crashes: entries, snapshots, retention of both, and snapshots of
// another history that are received, with their RESET or without. After each start, what is loaded and what the log adds to it is the state that was
// there at that zxid; and it is so again when the newest snapshot is damaged.
func TestWithLog(t *testing.T) {
	seeds := 150
	if crashtest.Slow {
		seeds = 20
	}
	m, err := journeys(seeds)
	must(t, err)
	t.Logf("%d programs: %+v", seeds, m)
	if m.starts == 0 || m.loads == 0 || m.resets == 0 || m.fallbacks == 0 || m.unnamed == 0 || m.cuts == 0 {
		t.Error("too tame")
	}
}

func journeys(seeds int) (met, error) {
	j := journey{}
	for seed := range uint64(seeds) {
		j = journey{r: rand.New(rand.NewPCG(seed, 5)), disk: vfs.NewMemory(), states: map[zab.Zxid]state{0: {}}, met: j.met}
		if err := j.run(); err != nil {
			return j.met, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return j.met, nil
}

// met is what happened in journeys.
type met struct{ starts, loads, resets, fallbacks, unnamed, cuts int }

// state is what all entries so far amount to.
type state [sha256.Size]byte

func (s state) apply(data []byte) state { return sha256.Sum256(append(s[:], data...)) }

func (s state) content(m Meta) *content {
	return &content{m, [][]byte{s[:20], nil, s[20:], make([]byte, 900)}}
}

type journey struct {
	r      *rand.Rand
	disk   *vfs.Memory
	states map[zab.Zxid]state // at each zxid that was ever handed over
	acked  uint64             // position
	epoch  uint32
	met    met

	log   *wal.Log
	store *Store
	pos   uint64
	last  zab.Zxid
	now   state
	need  Need
}

const journeyDir = "/d"

func (j *journey) run() error {
	for range 12 {
		stop := 20 + j.r.IntN(150)
		j.disk.SetHook(func(op vfs.Op) *vfs.Fault {
			if op.Kind == vfs.OpOpen || op.Kind == vfs.OpRead || op.Kind == vfs.OpList {
				return nil // EIO there would be damage
			}
			if stop--; stop > 0 {
				if op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, suffix) && j.r.IntN(3) == 0 {
					return &vfs.Fault{Err: syscall.EBUSY} // somebody looks at it
				}
				return nil
			}
			return &vfs.Fault{Err: syscall.EIO, Written: j.r.IntN(len(op.Data) + 1)}
		})
		err := j.open()
		for err == nil {
			err = j.step()
		}
		if stop > 0 {
			return err
		}
		if j.r.IntN(2) == 0 {
			j.disk.Crash()
		} else {
			j.disk.PowerLoss(j.r)
		}
	}
	return j.open()
}

func (j *journey) options() Options {
	return Options{Dir: journeyDir, FS: j.disk, Random: j.r.Uint64, Keep: 2, flush: 1500, buffer: 700}
}

// open starts as a member does.
func (j *journey) open() error {
	var rec wal.Recovery
	var err error
	j.log, rec, err = wal.Open(j.disk, wal.Options{Dir: journeyDir, Name: "n", Member: 1, Random: j.r.Uint64, SegmentSize: 2048})
	if err != nil {
		return err
	}
	if rec.Verdict.Kind == wal.Impaired {
		return fmt.Errorf("%v", rec.Verdict)
	}
	if rec.Pos < j.acked {
		return fmt.Errorf("the log ends at %d, acknowledged was %d", rec.Pos, j.acked)
	}
	j.pos, j.acked = rec.Pos, rec.Pos
	j.last = rec.Base
	if n := len(rec.Entries); n > 0 {
		j.last = rec.Entries[n-1].Zxid
	}
	j.need = Need{From: rec.Base, Upto: j.last, Reset: (*Reset)(rec.Reset)}
	if j.store, err = Open(j.options()); err != nil {
		return err
	}
	if err := j.load(rec.Entries, 0); err != nil {
		return err
	}
	j.met.starts++
	if j.r.IntN(3) == 0 {
		if err := j.fallBack(rec.Entries); err != nil {
			return err
		}
	}
	j.epoch++
	return j.append(zab.Record{Kind: zab.RecordMark, Mark: zab.Mark{Ensemble: testEnsemble, Member: 1, Counts: true, Promised: j.epoch}})
}

// load brings the state back.
func (j *journey) load(entries []zab.Entry, damaged int) error {
	j.now = state{}
	i, faults, err := j.store.Load(j.need, func(r *Reader) error {
		j.now = state{}
		at := 0
		for {
			c, err := r.Chunk()
			if err != nil {
				return nil // Load asks the Reader
			}
			at += copy(j.now[at:], c)
		}
	})
	if err != nil && err != ErrNone {
		return err
	}
	if err == nil {
		j.met.loads++
	}
	bad := 0
	for _, f := range faults {
		var damage *DamageError
		if errors.As(f, &damage) {
			bad++
		}
	}
	if bad > damaged { // of two of one zxid the other may come first
		return fmt.Errorf("%d damaged, not %d: %v", bad, damaged, faults)
	}
	for _, e := range entries {
		if e.Zxid > i.Zxid {
			j.now = j.now.apply(e.Data)
		}
	}
	if j.now != j.states[j.last] {
		return fmt.Errorf("loaded %v of %v: the state at %v is another", i.Zxid, i.File, j.last)
	}
	return nil
}

// fallBack has the newest snapshot damaged for a while.
func (j *journey) fallBack(entries []zab.Entry) error {
	var fit []Info
	for _, i := range j.store.List() {
		if j.need.Unfit(&i) == "" {
			fit = append(fit, i)
		}
	}
	if len(fit) < 2 {
		return nil
	}
	name, bit := filepath.Join(journeyDir, fit[0].File), j.r.Int64N(8*fit[0].Size)
	if err := j.disk.FlipBit(name, bit); err != nil {
		return err
	}
	var err error
	if j.store, err = Open(j.options()); err == nil {
		err = j.load(entries, 1)
	}
	if e := j.disk.FlipBit(name, bit); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	j.met.fallbacks++
	j.store, err = Open(j.options())
	return err
}

func (j *journey) append(r zab.Record) error {
	if r.Kind != zab.RecordMark {
		j.pos++
		r.Pos = j.pos
	}
	if err := j.log.Append([]zab.Record{r}); err != nil {
		return err
	}
	j.acked = j.pos
	return nil
}

func (j *journey) meta(z zab.Zxid) Meta {
	return Meta{Ensemble: testEnsemble, Zxid: z, Spans: []zab.Span{{Epoch: z.Epoch(), Last: z.Counter()}}}
}

func (j *journey) step() error {
	switch x := j.r.IntN(20); {
	case x < 12:
		z := j.last + 1
		if j.last.Epoch() != j.epoch {
			z = zab.MakeZxid(j.epoch, 1)
		}
		data := make([]byte, j.r.IntN(200))
		for i := range data {
			data[i] = byte(j.r.Uint32())
		}
		next := j.now.apply(data)
		j.states[z] = next
		if err := j.append(zab.Record{Kind: zab.RecordEntry, Entry: zab.Entry{Zxid: z, Prev: j.last, Kind: zab.EntryData, Data: data}}); err != nil {
			return err
		}
		j.last, j.now = z, next
		j.need.Upto = z
	case x < 17 && j.last > 0:
		m := j.meta(j.last)
		m.Pos = j.pos
		if _, err := j.store.Write(context.Background(), m, j.now.content(m).reader()); err != nil {
			return err
		}
	case x < 19:
		pos, err := j.store.Retain(j.need)
		var lost *LostError
		if err == ErrNone || errors.As(err, &lost) {
			return nil
		}
		if err == nil {
			j.met.cuts++
			err = j.log.Retain(pos)
		}
		return err
	default:
		return j.receive()
	}
	return nil
}

// receive installs a state of another history, which may lie between two zxids of this one, and resets the log to it, or not any more.
func (j *journey) receive() error {
	z := j.last.Epoch()
	if z > 1 && j.r.IntN(2) == 0 {
		z = 1 + j.r.Uint32N(z)
	}
	zxid := zab.MakeZxid(z, 1000+j.r.Uint32N(1000))
	if _, used := j.states[zxid]; used {
		return nil
	}
	other := state{}.apply([]byte(zxid.String()))
	c := other.content(j.meta(zxid))
	le.PutUint64(c.meta.ID[:], j.r.Uint64())
	r, err := j.store.Receive(c.meta, nil)
	if err != nil {
		return err
	}
	for i, chunk := range c.chunks {
		if err := r.Add(uint32(i), chunk); err != nil {
			return err
		}
	}
	length, digest := uint64(len(c.bytes())), c.digest()
	if _, err := r.Commit(length, digest); err != nil {
		return err
	}
	if j.r.IntN(3) == 0 {
		j.met.unnamed++
		return nil
	}
	j.states[zxid] = other
	if err := j.append(zab.Record{Kind: zab.RecordReset, Snapshot: &zab.Snapshot{Zxid: zxid, Length: length, Digest: digest}}); err != nil {
		return err
	}
	j.met.resets++
	j.last, j.now = zxid, other
	j.need = Need{From: zxid, Upto: zxid, Reset: &Reset{j.pos, zxid, length, digest}}
	j.epoch = max(j.epoch, zxid.Epoch()) + 1
	return nil
}
