package datatree

import "github.com/ensemble-go/ensemble/zab"

// EventType says what a transaction did to a znode.
type EventType uint8

// The types of events.
const (
	Created EventType = iota + 1
	Changed           // its data was set
	Deleted
)

// String returns the name of the type.
func (t EventType) String() string {
	switch t {
	case Created:
		return "Created"
	case Changed:
		return "Changed"
	case Deleted:
		return "Deleted"
	}
	return "EventType(?)"
}

// Event tells what one transaction did to one znode: Znode is as it left it, Prev as it found it, and each is zero where there was none. So a multi that
// sets a znode twice gives one event, one that creates and deletes it none, and one that deletes it and creates it anew a Deleted and a Created. The events of a
// multi come in the order of its ops: deletions where the first was, all else where the last was.
//
// Data is the tree's and read-only. Prev.Zxid is that of the transaction that left the znode so.
type Event struct {
	Type  EventType
	Path  string
	Zxid  zab.Zxid
	Znode Znode
	Prev  Znode
}

// deed is an event as it is kept: the versions, which the tree has made anyway.
type deed struct {
	now, old *version // old is nil for Created, now is dead for Deleted, unless the znode was created anew
	size     uint32   // what it keeps in memory, about
	what     EventType
}

func (d *deed) zxid() zab.Zxid { return d.now.zxid }

func (d *deed) fill(e *Event) {
	*e = Event{Type: d.what, Path: d.now.path(), Zxid: d.now.zxid}
	if d.what != Deleted {
		d.now.fill(&e.Znode, d.now.zxid)
	}
	if d.old != nil {
		d.old.fill(&e.Prev, d.old.zxid)
	}
}

// act is what an op of the transaction that is being applied did.
type act struct {
	what EventType
	v    *version
}

// events hands what the transaction did, which is about to be published, to the feed.
func (t *Tree) events() {
	if len(t.acts) == 1 {
		a := t.acts[0]
		t.feed.add(deedOf(a))
		t.feed.send()
		t.acts[0] = act{}
		t.acts = t.acts[:0]
		return
	}
	// Of what was done to one znode counts the first deletion, the last creation, and the last set.
	place := make(map[act]int, len(t.acts))
	for i, a := range t.acts {
		if _, again := place[a]; !again || a.what != Deleted {
			place[a] = i
		}
	}
	for i, a := range t.acts {
		if place[a] != i {
			continue
		}
		d := deedOf(a)
		switch {
		case a.what == Deleted && d.old == nil: // nobody has ever seen it
		case a.what == Created && a.v.dead:
		case a.what == Changed && (a.v.dead || a.v.czxid == a.v.zxid): // the creation tells it
		default:
			t.feed.add(d)
		}
	}
	t.feed.send()
	clear(t.acts)
	t.acts = t.acts[:0]
}

func deedOf(a act) deed {
	d := deed{now: a.v, what: a.what}
	if a.what != Created {
		if old := a.v.prev.Load(); old != nil && !old.dead {
			d.old = old
		}
	}
	return d
}
