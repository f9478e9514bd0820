package zab

import "testing"

// What a log says is sent only if it continues the history from the learner's position on, with nothing left out and nothing that was cut.
func TestOnlyWhatContinuesIsSent(t *testing.T) {
	e := func(z, prev Zxid) Entry { return Entry{Zxid: z, Prev: prev, Kind: EntryData} }
	z := MakeZxid
	m := Machine{hist: history{spans: []Span{{1, 2}, {3, 4}}}} // 1.1 1.2 3.1 3.2 3.3 3.4; 1.3 and all of epoch 2 was cut
	for _, c := range []struct {
		why     string
		after   Zxid
		entries []Entry
		ok      bool
	}{
		{"nothing", z(1, 1), nil, false},
		{"all of it", 0, []Entry{e(z(1, 1), 0), e(z(1, 2), z(1, 1)), e(z(3, 1), z(1, 2)), e(z(3, 2), z(3, 1))}, true},
		{"a piece", z(1, 2), []Entry{e(z(3, 1), z(1, 2))}, true},
		{"a gap at its beginning", z(1, 1), []Entry{e(z(3, 1), z(1, 2))}, false},
		{"a gap within", z(1, 1), []Entry{e(z(1, 2), z(1, 1)), e(z(3, 2), z(3, 1))}, false},
		{"an entry that was cut", z(1, 2), []Entry{e(z(1, 3), z(1, 2))}, false},
		{"an epoch that was cut", z(1, 2), []Entry{e(z(2, 1), z(1, 2))}, false},
		{"of a later epoch", z(3, 4), []Entry{e(z(4, 1), z(3, 4))}, false},
		{"more than was asked for", z(3, 2), []Entry{e(z(3, 3), z(3, 2)), e(z(3, 4), z(3, 3))}, false},
		{"twice", z(1, 1), []Entry{e(z(1, 2), z(1, 1)), e(z(1, 2), z(1, 2))}, false},
	} {
		if got := m.continues(c.after, z(3, 3), c.entries); got != c.ok {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}
