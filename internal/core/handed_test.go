package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// What a leader is given and has not answered is bounded, and all of it is answered in the end, each session's in order and none behind all of another's; when the leader changes on the way, too.
func TestHandedIsBounded(t *testing.T) {
	const most, each, many = 1000, 150, 30
	for name, change := range map[string]bool{"one leader": false, "another leader": true} { // any order: each by itself
		t.Run(name, func(t *testing.T) {
			x := newTrio(t)
			var leader, id quorum.ID
			for m := range x.m { // any order: one leads, and one of the others will do
				if x.m[m].Status().Role == zab.Leading {
					leader = m
				}
				x.m[m].cfg.MaxHanded = most
			}
			id = leader%3 + 1
			m := x.m[id]
			sessions := []uint64{0}
			for range 2 {
				x.ticket++
				x.step(id, &Request{Ticket: x.ticket, Payload: AppendCreate(nil, 60_000)})
				x.deliver()
			}
			for _, n := range x.news[id] {
				if n.What == SessionAttached {
					sessions = append(sessions, n.Session)
				}
			}
			if len(sessions) != 3 {
				t.Fatalf("sessions %x", sessions)
			}
			payload, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: "/q-", Data: make([]byte, each), Mode: datatree.Sequential}}, false, 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			large, err := datatree.AppendOps(nil, []datatree.Op{datatree.CreateOp{Path: "/large-", Data: make([]byte, 1000), Mode: datatree.Sequential}}, false, 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			answered, forwards := 0, 0
			x.sent = func(from quorum.ID, msg Message) {
				if _, ok := msg.(*Forward); ok && from == id {
					forwards++
				}
			}
			tickets := map[uint64][]uint64{}
			ask := func(s uint64, payload []byte) {
				x.ticket++
				tickets[s] = append(tickets[s], x.ticket)
				x.step(id, &Request{Ticket: x.ticket, Session: s, Payload: payload})
				if c := m.outbox.handed; c > most && c != len(large)+32 {
					t.Fatalf("%d bytes are handed over", c)
				}
			}
			for _, s := range sessions {
				for range many {
					ask(s, payload)
				}
			}
			ask(0, large)
			sum := 0
			for _, p := range x.queue {
				if f, ok := p.msg.(*Forward); ok && p.from == id {
					for _, c := range f.Calls {
						sum += len(c.Payload) + 32
					}
				}
			}
			if sum > most || sum < most-2*each || sum != m.outbox.handed {
				t.Fatalf("%d bytes are on the way, %d are counted", sum, m.outbox.handed)
			}
			if change {
				x.isolate(leader)
				x.ticks(40)
				x.heal()
				x.ticks(40)
			}
			x.deliver()
			first, last := map[uint64]zab.Zxid{}, map[uint64]zab.Zxid{}
			for s, list := range tickets { // any order: each by itself
				for _, ticket := range list {
					r, ok := x.replies[ticket]
					if !ok || r.Err != nil || r.Zxid <= last[s] {
						t.Fatalf("session %x, ticket %d: %v, %+v", s, ticket, ok, r)
					}
					if last[s] = r.Zxid; first[s] == 0 {
						first[s] = r.Zxid
					}
					answered++
				}
			}
			for s := range first { // any order: each with each
				for o := range last {
					if first[s] > last[o] {
						t.Errorf("all of %x come before any of %x", o, s)
					}
				}
			}
			if answered != 3*many+1 || m.outbox.handed != 0 || m.outbox.count != 0 || forwards < 3*many*each/most {
				t.Errorf("%d answered, %d bytes still counted, %d messages", answered, m.outbox.handed, forwards)
			}
		})
	}
}
