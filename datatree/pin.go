package datatree

import (
	"slices"
	"sort"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/zab"
)

// pinned is what the writer knows of the states that views hold. Any goroutine announces a pin, and later its release, on a stack each; the
// writer takes the stacks and keeps account. However many pins there are, a pin costs it little when it comes and when it goes, and nothing between.
type pinned struct {
	came atomic.Pointer[pin]
	left atomic.Pointer[pin]

	// The rest belongs to the writer.
	marks []mark       // ascending by zxid
	empty int          // of marks: held by nobody
	lost  [][]*version // that marks kept which are held by nobody now
}

// pin says that zxid must stay readable.
type pin struct {
	zxid     zab.Zxid
	released atomic.Bool
	of       *pinned
	came     *pin // next on the stack; the writer's once it has taken the stack
	left     *pin // likewise
	void     bool // writer only: came too late to hold anything
	holders  atomic.Int32
	shares   *pin // whose state this one holds with it, or nil
}

// mark is a state that views hold, or held.
type mark struct {
	zxid zab.Zxid
	pins int        // not released
	down int        // if pins is 0: no mark between down and this one is held
	kept []*version // that this is the newest mark to hold
}

func (ps *pinned) push(zxid zab.Zxid) *pin {
	p := &pin{zxid: zxid, of: ps}
	p.holders.Store(1)
	for {
		p.came = ps.came.Load()
		if ps.came.CompareAndSwap(p.came, p) {
			return p
		}
	}
}

// share returns a pin that holds what p holds, as long as p or somebody who shares it has not been released; otherwise a released one.
func (p *pin) share() *pin {
	if p.shares != nil {
		p = p.shares
	}
	s := &pin{zxid: p.zxid, shares: p}
	for n := p.holders.Load(); n > 0; n = p.holders.Load() {
		if p.holders.CompareAndSwap(n, n+1) {
			return s
		}
	}
	s.released.Store(true)
	return s
}

func (p *pin) release() {
	if !p.released.CompareAndSwap(false, true) {
		return
	}
	if p.shares != nil {
		p = p.shares
	}
	if p.holders.Add(-1) > 0 {
		return
	}
	for {
		p.left = p.of.left.Load()
		if p.of.left.CompareAndSwap(p.left, p) {
			return
		}
	}
}

// refresh takes account of the pins that came and left. Writer only, after it has published a state: then no view will hold one before that
// which does not hold it already.
func (ps *pinned) refresh() {
	if ps.came.Load() == nil && ps.left.Load() == nil {
		return
	}
	left := ps.left.Swap(nil) // first, so that each of them has come
	var came *pin
	for p := ps.came.Swap(nil); p != nil; { // the newest is on top
		p.came, came, p = came, p, p.came
	}
	for p := came; p != nil; {
		ps.add(p)
		p.came, p = nil, p.came
	}
	for p := left; p != nil; {
		if !p.void {
			ps.leave(p)
		}
		p.left, p = nil, p.left
	}
	if 2*ps.empty > len(ps.marks) {
		ps.compact()
	}
}

// add counts a pin. Pins come in the order of their zxids, except those that are released at once by View: one who announces an older zxid than
// somebody before it will find that its state is not the newest any more.
func (ps *pinned) add(p *pin) {
	last := len(ps.marks) - 1
	switch {
	case last < 0 || ps.marks[last].zxid < p.zxid:
		ps.marks = append(ps.marks, mark{zxid: p.zxid, pins: 1})
	case ps.marks[last].zxid > p.zxid:
		p.void = true
	default:
		if ps.marks[last].pins == 0 {
			ps.empty--
		}
		ps.marks[last].pins++
	}
}

func (ps *pinned) leave(p *pin) {
	i := sort.Search(len(ps.marks), func(i int) bool { return ps.marks[i].zxid >= p.zxid })
	m := &ps.marks[i]
	if m.pins--; m.pins > 0 {
		return
	}
	ps.empty++
	m.down = i - 1
	if len(m.kept) > 0 {
		ps.lost = append(ps.lost, m.kept)
		m.kept = nil
	}
}

func (ps *pinned) compact() {
	ps.marks = slices.DeleteFunc(ps.marks, func(m mark) bool { return m.pins == 0 })
	ps.empty = 0
}

// within returns the newest state that is held, not before from and before to, or nil.
func (ps *pinned) within(from, to zab.Zxid) *mark {
	i := len(ps.marks) - 1
	if i < 0 || ps.marks[i].zxid < from {
		return nil
	}
	if ps.marks[i].zxid >= to {
		i = sort.Search(i, func(i int) bool { return ps.marks[i].zxid >= to }) - 1
	}
	// Down over marks that nobody holds. Each that is passed points lower afterwards, so that no way is gone often.
	for i >= 0 && ps.marks[i].pins == 0 {
		m := &ps.marks[i]
		if m.down >= 0 && ps.marks[m.down].pins == 0 {
			m.down = ps.marks[m.down].down
		}
		i = m.down
	}
	if i < 0 || ps.marks[i].zxid < from {
		return nil
	}
	return &ps.marks[i]
}

// next returns a version that lost its mark, or nil.
func (ps *pinned) next() *version {
	last := len(ps.lost) - 1
	if last < 0 {
		return nil
	}
	vs := ps.lost[last]
	v := vs[len(vs)-1]
	vs[len(vs)-1] = nil
	if ps.lost[last] = vs[:len(vs)-1]; len(vs) == 1 {
		ps.lost[last] = nil
		ps.lost = ps.lost[:last]
	}
	return v
}
