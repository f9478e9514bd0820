package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var testEnsemble = zab.EnsembleID{0xe1, 2, 3}

func testOptions(disk vfs.FS, seed uint64) Options {
	ids := rand.New(rand.NewPCG(seed, 0x1d5))
	return Options{Dir: "/d/snap", FS: disk, Ensemble: testEnsemble, Random: ids.Uint64, buffer: 700, flush: 1500}
}

// content is a state as it is cut into chunks.
type content struct {
	meta   Meta
	chunks [][]byte
}

func (c *content) bytes() []byte { return bytes.Join(c.chunks, nil) }

func (c *content) digest() uint64 { return crc64.Checksum(c.bytes(), crc64.MakeTable(crc64.ECMA)) }

func (c *content) reader() *states { return &states{c: c} }

// states is the View of a content.
type states struct {
	c      *content
	next   int
	closed bool
}

func (s *states) Zxid() zab.Zxid { return s.c.meta.Zxid }
func (s *states) Close()         { s.closed = true }
func (s *states) Next() ([]byte, bool, error) {
	s.next++
	return bytes.Clone(s.c.chunks[s.next-1]), s.next == len(s.c.chunks), nil
}

// draw makes a state at a zxid.
func draw(r *rand.Rand, z zab.Zxid, sizes ...int) *content {
	if sizes == nil {
		for range 1 + r.IntN(5) {
			sizes = append(sizes, []int{0, 1, 40, 470, 1300}[r.IntN(5)])
		}
	}
	c := &content{meta: Meta{Ensemble: testEnsemble, Zxid: z, Pos: uint64(z), Created: time.UnixMilli(1 << 40).UTC()}}
	le.PutUint64(c.meta.ID[:], r.Uint64())
	for e := uint32(1); e < z.Epoch(); e++ {
		c.meta.Spans = append(c.meta.Spans, zab.Span{Epoch: e, Last: 7})
	}
	if z > 0 {
		c.meta.Spans = append(c.meta.Spans, zab.Span{Epoch: z.Epoch(), Last: z.Counter()})
	}
	for i := range r.IntN(3) {
		c.meta.Members = append(c.meta.Members, zab.Readmitted{Member: quorum.ID(i + 1), Incarnation: zab.Incarnation{byte(r.Uint32())}})
	}
	for _, n := range sizes {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		c.chunks = append(c.chunks, b)
	}
	return c
}

// same reads r to its end and compares. A prefix that differs is wrong even if an error follows.
func (c *content) same(r *Reader) error {
	if m := r.Meta(); fmt.Sprint(m) != fmt.Sprint(c.meta) {
		return fmt.Errorf("Meta %+v, want %+v: %w", m, c.meta, errWrong)
	}
	for i := 0; ; i++ {
		b, err := r.Chunk()
		switch {
		case err == io.EOF && i == len(c.chunks):
			return nil
		case err == io.EOF:
			return fmt.Errorf("only %d of %d chunks: %w", i, len(c.chunks), errWrong)
		case err != nil:
			return err
		case i >= len(c.chunks) || !bytes.Equal(b, c.chunks[i]):
			return fmt.Errorf("chunk %d is not what was written: %w", i, errWrong)
		}
		r.Reuse(b)
	}
}

type zxid = zab.Zxid

// errWrong is what must never happen: something else than was written, and no error of the package.
var errWrong = errors.New("wrong bytes")

// twin is the slow twin of a Store: a map of zxid to bytes.
type twin struct {
	state map[zab.Zxid]*content
	must  map[zab.Zxid]bool // reported installed, and not handed to Retain for removal
	may   map[zab.Zxid]bool // handed over and not reported; or being removed
	need  Need
	keep  int
	last  uint64 // position

	received zab.Zxid // the last in this run
}

func newTwin() *twin {
	return &twin{state: map[zab.Zxid]*content{}, must: map[zab.Zxid]bool{}, may: map[zab.Zxid]bool{}, need: Need{Upto: 1<<63 - 1}, keep: 3}
}

// issue takes a state that is handed over.
func (w *twin) issue(c *content) {
	z := c.meta.Zxid
	w.state[z] = c
	w.may[z] = true
}

func (w *twin) installed(z zab.Zxid) {
	delete(w.may, z)
	w.must[z] = true
}

// fits is the rule, once more.
func (w *twin) fits(z zab.Zxid) bool {
	c := w.state[z]
	if z < w.need.From || z > w.need.Upto {
		return false
	}
	r := w.need.Reset
	if r == nil {
		return c.meta.Pos > 0
	}
	its := z == r.Zxid && uint64(len(c.bytes())) == r.Length && c.digest() == r.Digest
	return its || c.meta.Pos > 0 && c.meta.Pos >= r.Pos && z >= r.Zxid
}

// retain moves what Retain will remove to what may be there, and returns it.
func (w *twin) retain() (gone []zab.Zxid) {
	all := w.listed()
	kept := 0
	for _, z := range all {
		if w.fits(z) && kept < w.keep {
			kept++
		} else if z != w.received || w.fits(z) {
			gone = append(gone, z)
		}
	}
	if kept == 0 {
		return nil
	}
	for _, z := range gone {
		delete(w.must, z)
		w.may[z] = true
	}
	return gone
}

func (w *twin) resetPos() uint64 {
	if w.need.Reset == nil {
		return 0
	}
	return w.need.Reset.Pos
}

// listed returns what is certainly there, newest first.
func (w *twin) listed() []zab.Zxid {
	var all []zab.Zxid
	for z := range w.must {
		all = append(all, z)
	}
	slices.SortFunc(all, func(a, b zab.Zxid) int { return cmp.Compare(b, a) })
	return all
}

// check compares a Store that was just opened: all that was reported is there, whole, and nothing else than what may be.
func (w *twin) check(s *Store) error {
	seen := map[zab.Zxid]bool{}
	for _, i := range s.List() {
		if i.Fault != nil {
			return fmt.Errorf("false alarm: %w", i.Fault)
		}
		if seen[i.Zxid] || !w.must[i.Zxid] && !w.may[i.Zxid] {
			return fmt.Errorf("%v is there, twice or for no reason", i.Zxid)
		}
		seen[i.Zxid] = true
		c := w.state[i.Zxid]
		if i.Length != uint64(len(c.bytes())) || i.Digest != c.digest() || int(i.Chunks) != len(c.chunks) {
			return fmt.Errorf("Info %+v", i)
		}
		r, err := s.Open(i.File)
		if err != nil {
			return err
		}
		err = c.same(r)
		r.Close()
		if err != nil {
			return fmt.Errorf("%v: %w", i.Zxid, err)
		}
	}
	for z := range w.must {
		if !seen[z] {
			return fmt.Errorf("%v was installed and is gone", z)
		}
	}
	return w.checkLoad(s, seen)
}

// checkLoad compares what is chosen.
func (w *twin) checkLoad(s *Store, there map[zab.Zxid]bool) error {
	var want zab.Zxid
	for z := range there {
		if w.fits(z) {
			want = max(want, z)
		}
	}
	got, _, err := s.Load(w.need, func(r *Reader) error { return w.state[r.Zxid()].same(r) })
	var lost *LostError
	switch {
	case want != 0 && (err != nil || got.Zxid != want):
		return fmt.Errorf("loaded %v, %v; want %v", got.Zxid, err, want)
	case want == 0 && w.need.Reset == nil && w.need.From == 0 && err != ErrNone:
		return fmt.Errorf("nothing to load: %v", err)
	case want == 0 && (w.need.Reset != nil || w.need.From > 0) && !errors.As(err, &lost):
		return fmt.Errorf("the snapshot that is needed is not there: %v", err)
	}
	return nil
}

// settle makes the twin what is there.
func (w *twin) settle(s *Store) {
	clear(w.must)
	clear(w.may)
	w.received = 0
	for _, i := range s.List() {
		w.must[i.Zxid] = true
	}
}

// author draws what is done next, and tells the twin.
type author struct {
	r *rand.Rand
	w *twin
	z zab.Zxid
	// receiving is interrupted, and may go on.
	receiving *content
}

func newAuthor(seed uint64, w *twin) *author {
	return &author{r: rand.New(rand.NewPCG(seed, 0xa07)), w: w, z: zab.MakeZxid(1, 0)}
}

// next draws a state behind all former ones.
func (a *author) next() *content {
	a.z += zab.Zxid(1 + a.r.IntN(9))
	if a.r.IntN(6) == 0 {
		a.z = zab.MakeZxid(a.z.Epoch()+1, 1)
	}
	for a.w.state[a.z] != nil {
		a.z++
	}
	c := draw(a.r, a.z)
	a.w.last += uint64(1 + a.r.IntN(9))
	c.meta.Pos = a.w.last
	a.w.issue(c)
	return c
}

// write installs a state, or gives up on the way.
func (a *author) write(s *Store) error {
	c := a.next()
	if a.r.IntN(6) == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		stop := a.r.IntN(len(c.chunks) + 1)
		_, err := s.Write(ctx, c.meta, &cancelling{c.reader(), stop, cancel})
		cancel()
		if err == nil { // it was too late
			a.w.installed(c.meta.Zxid)
		}
		if errors.Is(err, context.Canceled) {
			delete(a.w.may, c.meta.Zxid)
			return nil
		}
		return err
	}
	if _, err := s.Write(context.Background(), c.meta, c.reader()); err != nil {
		return err
	}
	a.w.installed(c.meta.Zxid)
	return nil
}

type cancelling struct {
	*states
	left   int
	cancel func()
}

func (c *cancelling) Next() ([]byte, bool, error) {
	if c.left--; c.left < 0 {
		c.cancel()
	}
	return c.states.Next()
}

// receive takes a snapshot from somewhere else, or a part of it, or the rest.
func (a *author) receive(s *Store) error {
	c := a.receiving
	if c == nil || a.r.IntN(4) == 0 {
		if c != nil {
			delete(a.w.may, c.meta.Zxid)
		}
		if back := a.z - zab.Zxid(a.r.IntN(40)); a.r.IntN(2) == 0 && back.Epoch() == a.z.Epoch() {
			a.z = back // histories can go back behind a RESET
		}
		c = a.next()
		c.meta.Pos = 0
		a.receiving = c
	}
	p, err := s.Receive(c.meta, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	for i := p.Position().Chunk; int(i) < len(c.chunks); i++ {
		if a.r.IntN(8) == 0 {
			return p.Close()
		}
		if err := p.Add(i, c.chunks[i]); err != nil {
			return err
		}
	}
	if a.r.IntN(8) == 0 {
		return p.Close()
	}
	a.receiving = nil
	if _, err := p.Commit(uint64(len(c.bytes())), c.digest()); err != nil {
		return err
	}
	a.w.installed(c.meta.Zxid)
	a.w.received = c.meta.Zxid
	if a.r.IntN(3) > 0 { // otherwise the RESET is not written any more
		a.w.last++
		a.w.need.Reset = &Reset{a.w.last, c.meta.Zxid, uint64(len(c.bytes())), c.digest()}
		a.w.need.From = c.meta.Zxid
	}
	return nil
}

func (a *author) step(s *Store) error {
	switch x := a.r.IntN(10); {
	case x < 5:
		return a.write(s)
	case x < 8:
		return a.receive(s)
	default:
		gone := a.w.retain()
		pos, err := s.Retain(a.w.need)
		var lost *LostError
		if err == ErrNone || errors.As(err, &lost) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, z := range gone {
			delete(a.w.may, z)
		}
		oldest := uint64(0)
		for _, z := range a.w.listed() {
			if a.w.fits(z) {
				oldest = cmp.Or(a.w.state[z].meta.Pos, a.w.resetPos())
			}
		}
		if pos != oldest {
			return fmt.Errorf("the log is to be kept from %d on, want %d", pos, oldest)
		}
		return nil
	}
}
