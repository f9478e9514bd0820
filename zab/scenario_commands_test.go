package zab

import (
	"errors"
	"reflect"
	"strings"

	"github.com/ensemble-go/ensemble/internal/script"
	"github.com/ensemble-go/ensemble/quorum"
)

func (s *stage) do(verb string, f []string) {
	switch verb {
	case "quiet", "loud":
	case "limits":
		for _, word := range f {
			name, value, _ := strings.Cut(word, "=")
			n := int(script.Number(s, value))
			field := map[string]*int{
				"init": &s.cfg.InitLimit, "sync": &s.cfg.SyncLimit, "tail": &s.cfg.MaxTail, "window": &s.cfg.Window, "batch": &s.cfg.MaxBatch, "apply": &s.cfg.MaxApply, "chunk": &s.chunk,
			}[name]
			switch {
			case name == "snapshot":
				s.most = uint64(n)
			case name == "counter":
				s.cfg.MaxCounter = uint32(n)
			case field != nil:
				*field = n
			case name == "log":
				s.cfg.ReadsLog = n != 0
			default:
				s.Fatalf("no limit %q", name)
			}
		}
	case "members":
		var members []quorum.Member
		for _, word := range f {
			x := script.ParseMember(s, word)
			m := quorum.Member{ID: quorum.ID(x.ID), Observer: x.Observer, Group: x.Group, Weight: x.Weight}
			members = append(members, m)
			s.ids = append(s.ids, m.ID)
			if x.Observer {
				s.observer = append(s.observer, m.ID)
			}
		}
		v, err := quorum.New(members)
		if err != nil {
			s.Fatal(err)
		}
		s.cfg.Verifier = v
		for _, id := range s.ids {
			s.begin(id, Recovered{Mark: Mark{Member: id, Incarnation: Incarnation{byte(id)}, Counts: true, Born: true}})
		}
	case "member":
		s.recovered(s.id(f[0]), f[1:])
	case "lead":
		s.step(s.actor(f[0]), (*Machine).Lead)
	case "follow":
		s.step(s.actor(f[0]), func(m *Machine) { m.Follow(s.id(f[1])) })
	case "run":
		s.run(f)
	case "slow", "fast":
		s.actor(f[0]).slow = verb == "slow"
	case "deliver", "drop":
		if len(f) > 0 {
			n := 1 << 20
			if len(f) > 2 {
				n = int(script.Number(s, f[2]))
			}
			if s.deliver(s.id(f[0]), s.id(f[1]), n, verb == "drop") == 0 {
				s.Tell("  nothing lies there")
			}
			return
		}
		s.deliverAll()
	case "say":
		from, msg := s.id(f[0]), s.message(f[2], f[3:])
		s.step(s.actor(f[1]), func(m *Machine) { m.Receive(from, msg) })
	case "repeat":
		from := s.id(f[0])
		msg := s.last[[2]quorum.ID{from, s.id(f[1])}]
		if msg == nil {
			s.Fatalf("nothing to repeat from %s to %s", f[0], f[1])
		}
		s.Tell("  %d->%s %s", from, f[1], describe(msg))
		s.step(s.actor(f[1]), func(m *Machine) { m.Receive(from, msg) })
	case "persist":
		ids := s.ids
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		for _, id := range ids {
			a := s.actors[id]
			upto := WriteID(1 << 62)
			if len(f) > 1 {
				upto = WriteID(script.Number(s, f[1]))
			}
			s.persist(a, upto)
		}
	case "load":
		a := s.actor(f[0])
		if a.load == nil {
			s.Tell("  has no snapshot to decode")
			return
		}
		s.decode(a, len(f) > 1)
	case "read":
		without := Zxid(0)
		if len(f) > 2 {
			without = s.zxid(f[2])
		}
		if s.read(s.actor(f[0]), len(f) == 2, without) == 0 {
			s.Tell("  reads nothing")
		}
	case "torn":
		s.actor(f[0]).torn = int(script.Number(s, f[1]))
	case "served":
		s.Tell("  %+v", s.actor(f[0]).m.Served())
	case "batch":
		a := s.actor(f[0])
		a.m.Collect(&a.out)
		a.open = true
	case "end":
		a := s.actor(f[0])
		a.open = false
		s.carryOut(a)
	case "propose":
		a := s.actor(f[0])
		for _, word := range f[1:] {
			if !a.m.CanPropose() {
				s.Tell("  %d cannot propose", a.id)
				return
			}
			next := a.m.Next()
			s.step(a, func(m *Machine) {
				data := []byte(word)
				if n, big := strings.CutSuffix(word, "*"); big {
					data = make([]byte, script.Number(s, n))
				}
				if z := m.Propose(data); z != next {
					s.Fatalf("proposed as %v, not %v", z, next)
				}
			})
		}
	case "confirm":
		a, round := s.actor(f[0]), uint64(0)
		s.step(a, func(m *Machine) { round = m.Confirm() })
		s.Tell("  round %d", round)
	case "transfer":
		a := s.actor(f[0])
		s.step(a, func(m *Machine) {
			to := s.id(f[1])
			if !m.Transfer(func(id quorum.ID) bool { return to == 0 || id == to }) {
				a.done = append(a.done, "does not hand over")
			}
		})
	case "tick":
		ids, n := s.ids, 1
		if len(f) > 0 {
			ids = []quorum.ID{s.id(f[0])}
		}
		if len(f) > 1 {
			n = int(script.Number(s, f[1]))
		}
		for range n {
			for _, id := range ids {
				s.step(s.actors[id], (*Machine).Tick)
			}
		}
	case "lost":
		a, b := s.actor(f[0]), s.actor(f[1])
		delete(s.lines, [2]quorum.ID{a.id, b.id})
		delete(s.lines, [2]quorum.ID{b.id, a.id})
		s.cut, s.cutBy = a.id, b.id
		s.step(a, func(m *Machine) { m.Lost(b.id) })
		s.step(b, func(m *Machine) { m.Lost(a.id) })
		s.cut = 0
	case "continue":
		a := s.actor(f[0])
		a.more = false
		s.step(a, (*Machine).Continue)
	case "stop":
		s.step(s.actor(f[0]), (*Machine).Stop)
	case "fail":
		s.step(s.actor(f[0]), func(m *Machine) { m.Fail(errors.New("disk")) })
	case "restart":
		s.restart(s.actor(f[0]))
	case "born":
		s.step(s.actor(f[0]), func(m *Machine) { m.Write(func(k *Mark) { k.Born = true }) })
	case "show":
		for _, id := range s.ids {
			s.Tell("  %s", s.actors[id])
		}
	default:
		s.Fatalf("unknown directive %q", verb)
	}
}

func (s *stage) recovered(id quorum.ID, f []string) {
	delete(s.actors, id)
	rec := Recovered{Mark: Mark{Member: id, Incarnation: Incarnation{byte(id)}, Counts: true, Born: true}}
	for _, word := range f {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "promised":
			rec.Mark.Promised = uint32(script.Number(s, value))
		case "joined":
			rec.Mark.Joined = uint32(script.Number(s, value))
		case "incarnation":
			rec.Mark.Incarnation[0] = byte(script.Number(s, value))
		case "blank":
			rec.Mark.Counts = false
		default:
			e := Entry{Zxid: s.zxid(name), Kind: EntryData, Data: []byte(value)}
			if n := len(rec.Entries); n > 0 {
				e.Prev = rec.Entries[n-1].Zxid
			}
			if who, inc, ok := strings.Cut(strings.TrimPrefix(value, "readmit:"), ":"); ok {
				e.Kind, e.Data, e.Member, e.Incarnation[0] = EntryReadmit, []byte{}, s.id(who), byte(script.Number(s, inc))
			}
			rec.Entries = append(rec.Entries, e)
		}
	}
	rec.Pos = uint64(len(rec.Entries))
	s.begin(id, rec)
}

// message makes one of its name and fields: "Ack", "zxid=1.2", "joined".
func (s *stage) message(name string, f []string) Message {
	for _, msg := range []Message{
		&FollowerInfo{}, &LeaderInfo{}, &AckEpoch{}, &Refuse{}, &Sync{}, &Fetch{}, &Chunk{}, &Installed{}, &Propose{}, &NewLeader{}, &Ack{},
		&UpToDate{}, &Commit{}, &Ping{}, &Pong{}, &Handover{},
	} {
		v := reflect.ValueOf(msg).Elem()
		if v.Type().Name() != name {
			continue
		}
		for _, word := range f {
			key, value, _ := strings.Cut(word, "=")
			x := v.FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, key) })
			switch {
			case !x.IsValid():
				s.Fatalf("%s has no %s", name, key)
			case x.Type() == reflect.TypeFor[Zxid]():
				x.SetUint(uint64(s.zxid(value)))
			case x.Type() == reflect.TypeFor[[]Entry]():
				z, prev, _ := strings.Cut(value, "<")
				x.Set(reflect.Append(x, reflect.ValueOf(Entry{Zxid: s.zxid(z), Prev: s.zxid(prev), Kind: EntryData, Data: []byte("?")})))
			case x.Kind() == reflect.Bool:
				x.SetBool(true)
			case x.CanUint():
				x.SetUint(uint64(script.Number(s, value)))
			default:
				s.Fatalf("%s.%s cannot be said", name, key)
			}
		}
		return msg
	}
	s.Fatalf("no message %q", name)
	return nil
}
