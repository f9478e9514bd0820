package zab

import "sort"

// history is the machine's picture of its log: what is issued, persisted or not. It holds the tail in memory and, for the
// part before it, only where each epoch ended.
type history struct {
	base  Zxid // the zxid before the first item; everything up to it is in the snapshot or applied and dropped
	spans []Span
	items []item
	first uint64 // absolute index of items[0]
	pos   uint64 // of the last record of the log
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
	if n := len(h.items); n > 0 {
		return h.items[n-1].Zxid
	}
	return h.base
}

// end is the absolute index after the last item.
func (h *history) end() uint64 { return h.first + uint64(len(h.items)) }

func (h *history) at(i uint64) *item { return &h.items[i-h.first] }

// after returns the absolute index of the first item above z, and whether z itself is held: the base or an item.
func (h *history) after(z Zxid) (uint64, bool) {
	if z == h.base {
		return h.first, true
	}
	i := sort.Search(len(h.items), func(i int) bool { return h.items[i].Zxid > z })
	return h.first + uint64(i), i > 0 && h.items[i-1].Zxid == z
}

// sizeTo is the value of bytes before the item at absolute index i.
func (h *history) sizeTo(i uint64) uint64 {
	switch {
	case i > h.first:
		return h.at(i - 1).end
	case len(h.items) > 0:
		return h.items[0].end - uint64(overhead+len(h.items[0].Data))
	}
	return h.bytes
}

func (h *history) append(e Entry, id WriteID) {
	h.bytes += uint64(overhead + len(e.Data))
	h.items = append(h.items, item{Entry: e, id: id, end: h.bytes})
	if n := len(h.spans); n > 0 && h.spans[n-1].Epoch == e.Zxid.Epoch() {
		h.spans[n-1].Last = e.Zxid.Counter()
	} else {
		h.spans = append(h.spans, Span{e.Zxid.Epoch(), e.Zxid.Counter()})
	}
}

// truncate makes z, which is held, the last zxid.
func (h *history) truncate(z Zxid) {
	i, _ := h.after(z)
	clear(h.items[i-h.first:])
	h.items = h.items[:i-h.first]
	h.spans = spansUpTo(h.spans, z)
}

// restart makes the history begin after a snapshot.
func (h *history) restart(s *Snapshot, id WriteID) {
	h.first = h.end()
	h.items = nil
	h.base, h.spans, h.reset = s.Zxid, append([]Span(nil), s.Spans...), id
}

// drop lets go of items up to z, while more than keep bytes are held.
func (h *history) drop(z Zxid, keep int) {
	if len(h.items) == 0 || h.bytes-h.sizeTo(h.first) <= uint64(keep+keep/4) { // in strides, so that it costs nothing per item
		return
	}
	n := 0
	for n < len(h.items) && h.items[n].Zxid <= z && h.bytes-h.items[n].end >= uint64(keep) {
		n++
	}
	if n == 0 {
		return
	}
	h.base = h.items[n-1].Zxid
	h.first += uint64(n)
	h.items = append([]item(nil), h.items[n:]...)
}

// durable is the last zxid such that it and everything before it is persisted.
func (h *history) durable(upto WriteID) Zxid {
	if h.reset > upto {
		return 0
	}
	for i := len(h.items) - 1; i >= 0; i-- {
		if h.items[i].id <= upto {
			return h.items[i].Zxid
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
