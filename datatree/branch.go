package datatree

import (
	"encoding/binary"
	"unsafe"
)

// branch divides names among leaves or smaller branches. It never changes.
type branch struct {
	common string   // what all lows but the first begin with
	words  []uint64 // of the lows, see wordOf
	links  []link
}

// link leads to names from low on, until the low of the next one. The low of a branch's first link does not count.
type link struct {
	low    string
	leaf   *leaf
	branch *branch
}

const branchMax = 32

func newBranch(links []link) *branch {
	b := &branch{links: links, words: make([]uint64, len(links))}
	if len(links) > 2 {
		b.common = common(links[1].low, links[len(links)-1].low)
	}
	for i := 1; i < len(links); i++ {
		b.words[i] = wordOf(b.common, links[i].low)
	}
	return b
}

// child returns the link where name belongs.
func (b *branch) child(name string) int {
	switch side(b.common, name) {
	case -1:
		return 0
	case 1:
		return len(b.links) - 1
	}
	w := wordOf(b.common, name)
	low, high := 1, len(b.links)
	for low < high {
		mid := int(uint(low+high) / 2)
		if x := b.words[mid]; x < w || x == w && b.links[mid].low <= name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// leaf returns the leaf where name belongs.
func (b *branch) leaf(name string) *leaf {
	for {
		l := &b.links[b.child(name)]
		if l.leaf != nil {
			return l.leaf
		}
		b = l.branch
	}
}

// change returns what takes the place of b when links take the place of the leaf where name belongs: no branch, or one, or two.
func (b *branch) change(name string, links []link) []link {
	i := b.child(name)
	if below := b.links[i].branch; below != nil {
		links = below.change(name, links)
	}
	all := make([]link, 0, len(b.links)+len(links)-1)
	all = append(append(all, b.links[:i]...), links...)
	if len(links) > 0 {
		all[i].low = b.links[i].low
	}
	all = append(all, b.links[i+1:]...)
	switch half := len(all) / 2; {
	case len(all) == 0:
		return nil
	case len(all) <= branchMax:
		return []link{{branch: newBranch(all)}}
	default:
		return []link{{branch: newBranch(all[:half:half])}, {low: all[half].low, branch: newBranch(all[half:])}}
	}
}

// Names are compared by the eight bytes after what they have in common: these stand together, and only where they are equal a name is looked at.

// wordOf returns those eight bytes as a number. The name begins with common.
func wordOf(common, name string) uint64 {
	s := name[len(common):]
	if len(s) >= 8 {
		return binary.BigEndian.Uint64(unsafe.Slice(unsafe.StringData(s), 8))
	}
	var w uint64
	for i := range len(s) {
		w |= uint64(s[i]) << (56 - 8*i)
	}
	return w
}

// side returns 0 when name begins with common, otherwise -1 or 1 as name is before or after all that do.
func side(common, name string) int {
	switch {
	case len(name) >= len(common) && name[:len(common)] == common:
		return 0
	case name < common:
		return -1
	}
	return 1
}

// common returns what all names from first to last, in order, begin with.
func common(first, last string) string {
	n := 0
	for n < min(len(first), len(last)) && first[n] == last[n] {
		n++
	}
	return first[:n]
}
