package zab

import "sort"

// history is the machine's picture of its log: what is issued, persisted or not. It holds the tail in memory and, for the
// part before it, only where each epoch ended.
type history struct {
	base  Zxid // the zxid before the first item; everything up to it is in the snapshot or applied and dropped
	spans []Span
	items tail
	first uint64 // absolute index of the first item
	bytes uint64 // sum of the sizes of everything ever appended: differences are what counts
	// reset is the write that began this history anew; 0 if it is durable.
	reset WriteID
}

type item struct {
	Entry
	id  WriteID
	end uint64 // history.bytes after it
}

// overhead is what an entry costs beside its data, on the wire and in memory.
const overhead = 64

func (h *history) last() Zxid {
	if n := h.items.len(); n > 0 {
		return h.items.at(n - 1).Zxid
	}
	return h.base
}

// end is the absolute index after the last item.
func (h *history) end() uint64 { return h.first + uint64(h.items.len()) }

func (h *history) at(i uint64) *item { return h.items.at(int(i - h.first)) }

// after returns the absolute index of the first item above z, and whether z itself is held: the base or an item.
func (h *history) after(z Zxid) (uint64, bool) {
	if z == h.base {
		return h.first, true
	}
	n := h.items.len()
	if n > 0 && h.items.at(n-1).Zxid == z {
		return h.end(), true
	}
	i := sort.Search(n, func(i int) bool { return h.items.at(i).Zxid > z })
	return h.first + uint64(i), i > 0 && h.items.at(i-1).Zxid == z
}

// sizeTo is the value of bytes before the item at absolute index i.
func (h *history) sizeTo(i uint64) uint64 {
	switch {
	case i > h.first:
		return h.at(i - 1).end
	case h.items.len() > 0:
		x := h.items.at(0)
		return x.end - uint64(overhead+len(x.Data))
	}
	return h.bytes
}

func (h *history) append(e Entry, id WriteID) {
	h.bytes += uint64(overhead + len(e.Data))
	h.items.push(item{Entry: e, id: id, end: h.bytes})
	if n := len(h.spans); n > 0 && h.spans[n-1].Epoch == e.Zxid.Epoch() {
		h.spans[n-1].Last = e.Zxid.Counter()
	} else {
		h.spans = append(h.spans, Span{e.Zxid.Epoch(), e.Zxid.Counter()})
	}
}

// truncate makes z, which is held, the last zxid.
func (h *history) truncate(z Zxid) {
	i, _ := h.after(z)
	h.bytes = h.sizeTo(i)
	h.items.keep(int(i - h.first))
	h.spans = spansUpTo(h.spans, z)
}

// restart makes the history begin after a snapshot.
func (h *history) restart(s *Snapshot, id WriteID) {
	h.first = h.end()
	h.items = tail{}
	h.base, h.spans, h.reset = s.Zxid, append([]Span(nil), s.Spans...), id
}

// drop lets go of items up to z, while more than keep bytes are held.
func (h *history) drop(z Zxid, keep int) {
	n := 0
	for n < h.items.len() && h.items.at(n).Zxid <= z && h.bytes-h.items.at(n).end >= uint64(keep) {
		n++
	}
	if n > 0 {
		h.base = h.items.at(n - 1).Zxid
		h.first += uint64(n)
		h.items.drop(n)
	}
}

// durable is the last zxid such that it and everything before it is persisted.
func (h *history) durable(upto WriteID) Zxid {
	if h.reset > upto {
		return 0
	}
	for i := h.items.len() - 1; i >= 0; i-- {
		if x := h.items.at(i); x.id <= upto {
			return x.Zxid
		}
	}
	return h.base
}

// spansUpTo returns a copy of s without what is above z.
func spansUpTo(s []Span, z Zxid) []Span {
	var r []Span
	for _, x := range s {
		if x.Epoch > z.Epoch() {
			break
		}
		if x.Epoch == z.Epoch() {
			x.Last = min(x.Last, z.Counter())
		}
		r = append(r, x)
	}
	return r
}

// common returns the last zxid of the longest common prefix of two histories. A zxid is proposed once, with one
// predecessor; so histories that share a zxid share all before it, and the greatest shared zxid lies in the greatest shared
// epoch. (Comparing ranges instead lost data: ZOOKEEPER-1154, 1156.)
func common(a, b []Span) Zxid {
	i, j := len(a)-1, len(b)-1
	for i >= 0 && j >= 0 {
		switch {
		case a[i].Epoch > b[j].Epoch:
			i--
		case a[i].Epoch < b[j].Epoch:
			j--
		default:
			return MakeZxid(a[i].Epoch, min(a[i].Last, b[j].Last))
		}
	}
	return 0
}
