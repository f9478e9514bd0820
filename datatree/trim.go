package datatree

// sweepBudget is how many entries that views held back are looked at after a transaction: enough to catch up, and never a pause.
const sweepBudget = 64

// sweep drops versions that nobody can read any more: those that the transaction has just replaced, and some of those that views held
// back before. It runs after the transaction is published, because until then readers need them.
func (t *Tree) sweep() {
	if t.pins.refresh() {
		t.pending = len(t.stale) // a view has gone: each is worth a look, once
	}
	// Children come after their parents in touched as often as not; an entry that cannot go yet is looked at again.
	for _, e := range t.touched {
		t.trim(e)
	}
	t.clearTouched()
	for n := 0; n < sweepBudget && t.pending > 0; n++ {
		e := t.stale[0]
		t.stale[0] = nil
		t.stale = t.stale[1:]
		t.pending--
		e.queued = false
		t.trim(e)
	}
}

// trim drops the versions of e that no view holds, and e itself when nothing is left of it.
func (t *Tree) trim(e *entry) {
	keep, newer := e.head.Load(), e.head.Load()
	if keep == nil {
		t.drop(e)
		return
	}
	for v := keep.prev.Load(); v != nil; v = v.prev.Load() {
		// v is what a view sees whose zxid is not before v's and before that of the next newer version.
		if t.pins.within(v.zxid, newer.zxid) {
			keep = v
		} else {
			// keep is the version after v that stays; v is skipped. Readers that stand on v walk on from there.
			keep.prev.Store(v.prev.Load())
		}
		newer = v
	}
	head := e.head.Load()
	switch {
	case head.prev.Load() != nil:
		t.later(e)
	case head.dead:
		t.drop(e)
	}
}

// drop takes an entry without a znode out of the index.
func (t *Tree) drop(e *entry) {
	if kids := e.kids.Load(); kids != nil && kids.n > 0 {
		// Dead children that views still want are reached through it, and if the path is created anew they must find it.
		t.later(e)
		return
	}
	if e.gone {
		return
	}
	e.gone = true
	t.index.remove(e)
	if e.parent == nil {
		return
	}
	kids := e.parent.kids.Load()
	kids.remove(e)
	if kids.n == 0 {
		if v := e.parent.head.Load(); v == nil || v.dead && v.prev.Load() == nil {
			t.drop(e.parent)
		}
	}
}

// later puts e at the end of the queue.
func (t *Tree) later(e *entry) {
	if !e.queued {
		e.queued = true
		t.stale = append(t.stale, e)
	}
}
