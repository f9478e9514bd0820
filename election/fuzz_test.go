package election

import (
	"encoding/binary"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// Whatever is said, the machine does not panic, elects nobody who cannot lead, nor anybody without a link, and sends a peer
// one notification per input. Member 4 has no weight, 5 observes, 6 is unknown.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{1, 2, 0, 2, 1, 1, 0, 0, 3, 2, 2, 2, 1, 1, 4, 4, 5, 0})
	f.Add([]byte{1, 2, 1, 3, 0, 0, 0, 0, 2, 3, 0, 3, 9, 255, 0, 0, 5, 5, 5, 5, 5})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := quorum.New([]quorum.Member{
			{ID: 1, Group: 1, Weight: 1}, {ID: 2, Group: 1, Weight: 1}, {ID: 3, Group: 1, Weight: 1}, {ID: 4, Group: 1},
			{ID: 5, Observer: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		small, _ := quorum.New([]quorum.Member{{ID: 2}, {ID: 3}})
		m := New(Config{Self: 1, Verifier: v})
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		peer := func() quorum.ID { return quorum.ID(next() % 7) }
		linked := map[quorum.ID]bool{1: true}
		var o Output
		for len(data) > 0 {
			o.Reset()
			switch next() % 9 {
			case 0:
				m.Look(Vote{Leader: peer(), Epoch: uint32(next())}, next()%4 != 0, &o)
			case 1:
				id := peer()
				linked[id] = true
				m.Linked(id, &o)
			case 2, 3:
				from := peer()
				var zxid [8]byte
				for i := range zxid {
					zxid[i] = next() % 3 * 127
				}
				n := &Notification{
					State: State(next() % 5), Vote: Vote{peer(), uint32(next()), zab.Zxid(binary.BigEndian.Uint64(zxid[:]))},
					Round: uint64(next()), Established: uint32(next() % 3), Ask: next()%4 == 0,
				}
				if n.Round == 255 {
					n.Round = 1<<64 - 1
				}
				m.Receive(from, n, &o)
			case 4:
				m.Tick(&o)
			case 5:
				id := peer()
				linked[id] = id == 1
				m.Lost(id, &o)
			case 6:
				m.Settle(State(next()%5), peer(), uint32(next()%3), &o)
			case 7:
				if m.Failed(peer()); next()%2 == 0 {
					m.Withdraw()
				}
				m.SetVotes(next()%2 == 0)
			case 8:
				v = []quorum.Verifier{v, small}[next()%2]
				m.SetVerifier(v)
			}
			if o.Elected != 0 && (!v.CanLead(o.Elected) || !linked[o.Elected]) {
				t.Fatalf("elects %d", o.Elected)
			}
			sent := map[quorum.ID]bool{}
			for _, s := range o.Sends {
				if sent[s.To] || !linked[s.To] || s.To == 1 || !s.Notification.valid() {
					t.Fatalf("sends %d %v", s.To, s.Notification)
				}
				sent[s.To] = true
			}
		}
	})
}

func TestNilsAndZeros(t *testing.T) {
	var o Output
	m := New(Config{})
	m.Linked(1, &o)
	m.Look(Vote{}, true, &o)
	m.Receive(1, nil, &o)
	m.Tick(&o)
	if o.Elected != 0 {
		t.Errorf("elects %d", o.Elected)
	}
}
