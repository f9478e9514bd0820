package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/script"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

func (s *stage) do(verb string, f []string) {
	switch verb {
	case "quiet":
	case "loud", "messages":
		s.Quiet, s.messages = false, verb == "messages"
	case "limits":
		for _, word := range f {
			name, value, _ := strings.Cut(word, "=")
			n := int(script.Number(s, value))
			switch name {
			case "flight":
				s.cfg.MaxInFlight = n
			case "tail":
				s.cfg.MaxTail = n
			case "window":
				s.cfg.Window = n
			case "log":
				s.cfg.ReadsLog = n != 0
			case "chunk":
				s.cfg.ChunkSize = n
			case "digest":
				s.cfg.DigestEvery = uint32(n)
			case "counter":
				s.cfg.MaxCounter = uint32(n)
			default:
				s.Fatalf("no limit %q", name)
			}
		}
	case "members":
		for _, word := range f {
			x := script.ParseMember(s, word)
			m := quorum.Member{ID: quorum.ID(x.ID), Observer: x.Observer, Group: x.Group, Weight: x.Weight}
			s.cfg.Members = append(s.cfg.Members, m)
			s.ids = append(s.ids, m.ID)
			s.actors[m.ID] = &actor{s: s, id: m.ID}
		}
	case "disk":
		s.disk(s.actor(f[0]), f[1:])
	case "start":
		join := script.Take(&f, "join")
		for _, id := range s.ids {
			if f[0] == "all" || slices.Contains(f, fmt.Sprint(id)) {
				s.start(s.actors[id], join)
			}
		}
	case "crash", "wipe":
		a := s.actor(f[0])
		a.m, a.writes = nil, nil
		if verb == "wipe" {
			a.rec = zab.Recovered{}
		}
		for _, id := range s.ids {
			s.cut(a.id, id)
		}
	case "swap":
		a := s.actor(f[0])
		for _, id := range s.ids {
			s.cut(a.id, id)
		}
		other := a.aside
		if other == nil {
			other = &actor{s: a.s, id: a.id}
			s.start(other, false)
		}
		a.aside, other.aside = nil, a
		s.actors[a.id] = other
	case "link":
		for i, x := range s.ids {
			for _, y := range s.ids[i+1:] {
				if s.actors[x].m != nil && s.actors[y].m != nil && (f[0] == "all" || s.id(f[0]) == min(x, y) && s.id(f[1]) == max(x, y)) {
					s.link(x, y)
				}
			}
		}
	case "lost":
		s.cut(s.id(f[0]), s.id(f[1]))
	case "forget":
		a, b := s.id(f[0]), s.id(f[1])
		delete(s.linked, [2]quorum.ID{a, b})
		delete(s.lines, [2]quorum.ID{a, b})
		s.step(s.actors[a], &Lost{Peer: b})
	case "run":
		n := 200
		if len(f) > 0 {
			n = int(script.Number(s, f[0]))
		}
		for range n {
			if !s.round() {
				return
			}
		}
		if len(f) == 0 {
			s.Fatal("a storm")
		}
	case "settle":
		for range script.Number(s, f[0]) {
			s.do("run", nil)
			s.do("tick", nil)
		}
		s.do("run", nil)
	case "tick":
		ids, n := s.ids, int64(1)
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		if len(f) > 1 {
			n = script.Number(s, f[1])
		}
		for range n {
			for _, id := range ids {
				if a := s.actors[id]; a.m != nil && !a.failed {
					s.step(a, &Tick{Wall: 1000})
				}
			}
		}
	case "slow", "fast":
		s.actor(f[0]).slow = verb == "slow"
	case "hold", "unhold":
		s.actor(f[0]).hold = verb == "hold"
	case "persist":
		s.persist(s.actor(f[0]))
	case "deliver", "drop":
		s.move(verb == "drop", s.id(f[0]), s.id(f[1]), f[2:])
	case "repeat":
		e := [2]quorum.ID{s.id(f[0]), s.id(f[1])}
		x, ok := s.last[fmt.Sprint(e, f[2])]
		if !ok {
			s.Fatalf("no %s from %s to %s", f[2], f[0], f[1])
		}
		s.Tell("  %s%s", f[2], describe(x.Message))
		s.step(s.actor(f[1]), &Receive{From: e[0], Message: x.Message})
	case "batch":
		s.actor(f[0]).open = true
	case "end":
		s.actor(f[0]).open = false
		s.carryOut(s.actor(f[0]))
	case "create", "seq", "set", "delete", "send":
		a := s.actor(f[0])
		for _, word := range f[1:] {
			var payload []byte
			switch verb {
			case "create":
				payload = request(s, false, datatree.CreateOp{Path: word})
			case "seq":
				payload = request(s, false, datatree.CreateOp{Path: word, Mode: datatree.Sequential})
			case "set":
				payload = request(s, false, datatree.SetOp{Path: word, Data: []byte("x")})
			case "delete":
				payload = request(s, false, datatree.DeleteOp{Path: word})
			case "send":
				payload = make([]byte, script.Number(s, word))
			}
			s.step(a, &Request{Ticket: s.ticket(a), Payload: payload, Wall: 1000})
		}
	case "sync":
		a := s.actor(f[0])
		s.step(a, &SyncRequest{Ticket: s.ticket(a)})
	case "transfer":
		a := s.actor(f[0])
		s.step(a, &TransferRequest{Ticket: s.ticket(a), To: s.id(f[1])})
	case "spoil":
		s.actor(f[0]).sm.bad = uint64(s.id(f[0]))
	case "fail":
		s.step(s.actor(f[0]), &Failed{Err: errors.New("disk")})
	case "load":
		s.decode(s.actor(f[0]), len(f) > 1)
	case "show":
		for _, id := range s.ids {
			s.Tell("  %s", s.actors[id])
		}
	case "tree":
		a := s.actor(f[0])
		paths := ""
		for p := range a.sm.View().Walk("/") {
			if !strings.HasPrefix(p.Path, "/zookeeper") && p.Path != "/" {
				paths += " " + p.Path
			}
		}
		s.Tell("  %v:%s", a.sm.View().Zxid(), paths)
	default:
		s.Fatalf("unknown directive %q", verb)
	}
}

func (s *stage) ticket(a *actor) uint64 {
	s.tickets++
	a.waiting[s.tickets] = true
	return s.tickets
}

func (s *stage) disk(a *actor, f []string) {
	k := &a.rec.Mark
	k.Member, k.Incarnation = a.id, zab.Incarnation{byte(a.id)}
	for _, word := range f {
		name, value, _ := strings.Cut(word, "=")
		n := byte(0)
		if value != "" {
			n = byte(script.Number(s, value))
		}
		switch name {
		case "ensemble":
			k.Ensemble = zab.EnsembleID{n}
		case "counts":
			k.Counts = true
		case "born":
			k.Born = true
		case "promised":
			k.Promised = uint32(n)
		case "joined":
			k.Joined = uint32(n)
		case "damaged":
			a.rec.Snapshot, a.rec.Pos = &zab.Snapshot{Zxid: 1, Chunks: [][]byte{[]byte("no snapshot")}}, 1
		case "nonsense":
			a.rec.Entries, a.rec.Pos = []zab.Entry{{Zxid: zab.MakeZxid(1, 1), Kind: zab.EntryData, Data: []byte("no transaction")}}, 1
		default:
			s.Fatalf("no %q on a disk", name)
		}
	}
}
