package datatree

import (
	"slices"
	"sync/atomic"

	"github.com/ensemble-go/ensemble/zab"
)

// pinned is the list of the states that views hold. Any goroutine pushes; only the writer takes out.
type pinned struct {
	list     atomic.Pointer[pin]
	released atomic.Uint64 // how many were released

	// The rest belongs to the writer: what it found when it last looked.
	seen         *pin
	seenReleased uint64
	zxids        []zab.Zxid // ascending
}

// pin keeps the versions that were current at zxid.
type pin struct {
	zxid     zab.Zxid
	released atomic.Bool
	next     atomic.Pointer[pin]
	of       *pinned
}

func (ps *pinned) push(zxid zab.Zxid) *pin {
	p := &pin{zxid: zxid, of: ps}
	for {
		first := ps.list.Load()
		p.next.Store(first)
		if ps.list.CompareAndSwap(first, p) {
			return p
		}
	}
}

func (p *pin) release() {
	if p.released.CompareAndSwap(false, true) {
		p.of.released.Add(1)
	}
}

// refresh brings zxids up to date and reports whether anything was released since it last did. Writer only.
func (ps *pinned) refresh() (released bool) {
	n, first := ps.released.Load(), ps.list.Load()
	if n == ps.seenReleased && first == ps.seen {
		return false
	}
	released = n != ps.seenReleased
	ps.seenReleased = n
	ps.zxids = ps.zxids[:0]
	// The first pin stays in the list even when it is released, because others push before it.
	var last *pin
	for p := first; p != nil; p = p.next.Load() {
		dead := p.released.Load()
		if !dead {
			ps.zxids = append(ps.zxids, p.zxid)
		}
		if dead && last != nil {
			last.next.Store(p.next.Load())
		} else {
			last = p
		}
	}
	ps.seen = first
	slices.Sort(ps.zxids)
	return released
}

// within reports whether a state is pinned that is not before from and before to.
func (ps *pinned) within(from, to zab.Zxid) bool {
	i, _ := slices.BinarySearch(ps.zxids, from)
	return i < len(ps.zxids) && ps.zxids[i] < to
}
