package datatree

import (
	"math"
	"sort"
	"unsafe"

	"github.com/ensemble-go/ensemble/zab"
)

// history keeps the newest deeds, so that somebody who was elsewhere can be told what he has missed. It is a ring of versions: what it costs is the memory of
// those that were replaced, which go when others need their place.
type history struct {
	ring  []deed // its length is a power of two
	first int
	n     int
	bytes int
	most  int      // bytes
	begin zab.Zxid // all deeds after it are here, unless one had to go
	gone  *version // what the newest that had to go has left; nil: none had to
}

const (
	deedBytes    = int(unsafe.Sizeof(deed{}))
	versionBytes = int(unsafe.Sizeof(room[[88]byte]{}))
	entryBytes   = int(unsafe.Sizeof(entry64{}))
	leastRing    = 64
)

// measure says about how much memory d keeps.
func (d *deed) measure() {
	n := deedBytes + versionBytes + int(d.now.size)
	if d.old != nil {
		n += versionBytes + int(d.old.size)
	}
	if d.now.dead {
		n += entryBytes + int(d.now.pathLen)
	}
	d.size = uint32(min(n, math.MaxInt32)) // what a node may hold is far less
}

func (h *history) add(d deed) {
	if h.most < deedBytes {
		h.begin = d.zxid()
		return
	}
	d.measure()
	if h.n == len(h.ring) {
		h.grow()
	}
	h.ring[(h.first+h.n)&(len(h.ring)-1)] = d
	h.n++
	h.bytes += int(d.size)
	for h.bytes > h.most {
		old := &h.ring[h.first]
		h.gone = old.now // nobody has looked at it for long, so its zxid is far away: it is read when somebody asks
		h.bytes -= int(old.size)
		*old = deed{}
		h.first = (h.first + 1) & (len(h.ring) - 1)
		h.n--
	}
}

func (h *history) grow() {
	ring := make([]deed, max(leastRing, 2*len(h.ring)))
	for i := range h.n {
		ring[i] = *h.at(i)
	}
	h.ring, h.first = ring, 0
}

func (h *history) at(i int) *deed { return &h.ring[(h.first+i)&(len(h.ring)-1)] }

// since says after what all deeds are here.
func (h *history) since() zab.Zxid {
	if h.gone != nil {
		return h.gone.zxid
	}
	return h.begin
}

// after returns the place of the first deed after z, or false if there is a gap.
func (h *history) after(z zab.Zxid) (int, bool) {
	if z < h.since() {
		return 0, false
	}
	return sort.Search(h.n, func(i int) bool { return h.at(i).zxid() > z }), true
}

// jump forgets everything up to z.
func (h *history) jump(z zab.Zxid) { *h = history{most: h.most, begin: z} }
