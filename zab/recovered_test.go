package zab

import (
	"reflect"
	"testing"
)

func TestEnd(t *testing.T) {
	if s := (&Recovered{}).End(); s.Zxid != 0 || s.Spans != nil || s.Members != nil {
		t.Fatalf("%+v", s)
	}
	at := func(epoch, counter uint32, prev Zxid) Entry {
		return Entry{Zxid: MakeZxid(epoch, counter), Prev: prev, Kind: EntryData}
	}
	readmit := at(3, 2, MakeZxid(3, 1))
	readmit.Kind, readmit.Member, readmit.Incarnation = EntryReadmit, 2, Incarnation{9}
	r := Recovered{
		Snapshot: &Snapshot{Zxid: MakeZxid(1, 7), Spans: []Span{{1, 7}}, Members: []Readmitted{{1, Incarnation{1}}, {2, Incarnation{2}}}},
		Entries:  []Entry{at(1, 8, MakeZxid(1, 7)), at(3, 1, MakeZxid(1, 8)), readmit},
	}
	want := Snapshot{Zxid: MakeZxid(3, 2), Spans: []Span{{1, 8}, {3, 2}}, Members: []Readmitted{{1, Incarnation{1}}, {2, Incarnation{9}}}}
	if s := r.End(); !reflect.DeepEqual(s, want) {
		t.Fatalf("%+v", s)
	}
	if r.Snapshot.Spans[0].Last != 7 || r.Snapshot.Members[1].Incarnation != (Incarnation{2}) {
		t.Fatal("it has changed what was recovered")
	}
}
