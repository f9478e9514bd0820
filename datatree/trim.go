package datatree

// sweepBudget is how many versions whose views have gone are looked at after a transaction, beside as many as it has replaced: enough to catch up,
// however large transactions are, and never a pause.
const sweepBudget = 64

// sweep drops versions that nobody can read any more: those that the transaction has just replaced, and some of those that views have let
// go. It runs after the transaction is published, because until then readers need them.
//
// A version that has been replaced is looked at once. If a view holds it, it waits at the newest state that is held and shows it, until nobody holds
// that; then it is looked at again. So what views hold costs the writer nothing while they hold it. Views that go in the order in which they came
// are the best case, one look for each version; views that go newest first are the worst, one look for each view that holds the version.
func (t *Tree) sweep() {
	t.pins.refresh()
	for _, v := range t.touched {
		if old := v.prev.Load(); old != nil {
			old.newer = v
			t.trim(old)
		} else {
			t.bury(v)
		}
	}
	budget := sweepBudget + len(t.touched)
	t.clearTouched()
	for range budget {
		v := t.pins.next()
		if v == nil {
			break
		}
		t.kept--
		t.trim(v)
	}
}

// trim takes a version that was replaced out, or lets it wait.
func (t *Tree) trim(v *version) {
	t.looks++
	n := v.newer
	if m := t.pins.within(v.zxid, n.zxid); m != nil {
		m.kept = append(m.kept, v)
		t.kept++
		return
	}
	v.newer = nil
	old := v.prev.Load()
	n.prev.Store(old)
	if old != nil {
		old.newer = n
		v.prev.Store(cut)
		return
	}
	t.bury(n)
}

// bury takes the entry of v out of the index if v says that the znode is deleted and nothing else is known of it.
func (t *Tree) bury(v *version) {
	e := v.entry
	if !v.dead || v.newer != nil || v.prev.Load() != nil || e.gone {
		return
	}
	kids := e.kids.Load()
	if kids != nil && kids.n > 0 {
		// Dead children that views still want are reached through it, and if the path is created anew they must find it. The last of them
		// comes back to it.
		return
	}
	t.drop(e)
}

// drop takes an entry out of the index.
func (t *Tree) drop(e *entry) {
	e.gone = true
	t.index.remove(e)
	up := e.parent
	if up == nil {
		return
	}
	e.parent = nil // who keeps its path keeps no more
	kids := up.kids.Load()
	kids.remove(e)
	if kids.n == 0 {
		if v := t.index.newest(up); v != nil {
			t.bury(v)
		}
	}
}
