package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

// town is a world with sessions. Its clock is that of the processes, too.
type town struct {
	*world
	lives
	sessions []*tenancy
}

// tenancy is a session there, and its client.
type tenancy struct {
	name   core.Name // of the last call
	member ensemble.ID
	lasts  time.Duration
	owned  map[string]bool
	ended  bool
}

func (w *town) pass(d time.Duration) { w.now += int64(d) }

// txn puts one that changes no key into the log.
func (w *town) txn(t txn) *txn {
	w.zxid++
	t.Zxid = w.zxid
	w.log.Txns = append(w.log.Txns, t)
	return &w.log.Txns[len(w.log.Txns)-1]
}

func (w *town) note(m ensemble.ID, e event) {
	e.Member, e.At = m, w.now
	w.events = append(w.events, e)
}

func (w *town) open(m ensemble.ID, lasts time.Duration) *tenancy {
	t := w.txn(txn{Change: creates, Lasts: lasts})
	t.Session = uint64(t.Zxid)
	s := &tenancy{name: core.Name{Session: t.Session}, member: m, lasts: lasts, owned: map[string]bool{}}
	w.sessions = append(w.sessions, s)
	w.attached(s, &attempt{Outcome: done, Opened: t.Session, Lasts: lasts})
	return s
}

func (w *town) attached(s *tenancy, a *attempt) {
	a.Generation, a.Alive = s.name.Generation, w.now
	w.attempts = append(w.attempts, a)
	w.note(s.member, event{Kind: evAttached, Session: s.name.Session, Generation: s.name.Generation})
}

func (w *town) resume(s *tenancy, m ensemble.ID, killed bool) {
	w.txn(txn{Change: moves, Session: s.name.Session})
	s.name, s.member = core.Name{Session: s.name.Session, Generation: s.name.Generation + 1}, m
	w.attached(s, &attempt{Outcome: done, Session: s.name.Session, Opened: s.name.Session, Lasts: s.lasts, Killed: killed})
}

// on carries out a part on s.
func (w *town) on(s *tenancy, p part) *op {
	asked := p
	switch p.Verb {
	case verbEphemeral:
		p.Verb = verbCreate
	case verbEphemeralSequential:
		p.Verb = verbSequential
	}
	w.pass(time.Millisecond)
	o := w.do(p)
	o.Parts, o.Member, o.On = []part{asked}, s.member, &served{Session: s.name.Session, Alive: w.now + 5}
	if o.read() {
		return o
	}
	s.name.Sequence++
	o.On.Name = s.name
	t := &w.log.Txns[len(w.log.Txns)-1]
	t.Name = s.name
	for i, e := range t.Effects {
		switch {
		case asked.Verb == verbDelete:
			delete(s.owned, e.Path)
		case asked.Verb != p.Verb:
			t.Effects[i].Owner, s.owned[e.Path] = s.name.Session, true
		}
	}
	return o
}

// end is the transaction that ends s.
func (w *town) end(s *tenancy, t txn) {
	for _, path := range slices.Sorted(maps.Keys(s.owned)) {
		t.Effects = append(t.Effects, effect{Verb: verbDelete, Path: path})
		delete(w.tree, path)
	}
	s.ended, s.owned, t.Session = true, nil, s.name.Session
	z := w.txn(t).Zxid
	w.note(s.member%size+1, event{Kind: evEnded, Session: s.name.Session, Zxid: z})
}

func (w *town) close(s *tenancy) {
	w.pass(time.Millisecond)
	s.name.Sequence++
	w.ops = append(w.ops, &op{Parts: []part{{Verb: verbClose}}, Member: s.member, Call: w.now, Return: w.now + 2, reply: reply{Outcome: done, On: &served{Session: s.name.Session, Name: s.name}}})
	w.note(s.member, event{Kind: evLapsed, Session: s.name.Session, Generation: s.name.Generation})
	w.end(s, txn{Change: closes, Name: s.name})
}

func (w *town) lapse(s *tenancy) {
	w.note(s.member, event{Kind: evLapsed, Session: s.name.Session, Generation: s.name.Generation, Given: true})
}

func (w *town) kill(m ensemble.ID) { w.ends = append(w.ends, end{m, w.now}) }

func (w *town) count(s *tenancy, path, tag string) *op {
	p := part{Verb: verbCreate, Path: path, Tag: countTag(tag, 1)}
	if r := w.on(s, part{Verb: verbGet, Path: path}).Results[0]; r.Exists {
		p = part{Verb: verbSet, Path: path, Tag: countTag(tag, countOf(r.Tag)+1), Version: r.Version}
	}
	return w.on(s, p)
}

func (w *town) lock(s *tenancy, tag string) *hold {
	o := w.on(s, part{Verb: verbEphemeral, Path: lockPath, Tag: tag})
	h := &hold{Session: s.name.Session, Generation: s.name.Generation, Member: s.member, Token: o.Zxid, From: o.On.Alive}
	w.holds = append(w.holds, h)
	return h
}

func (w *town) unlock(s *tenancy, h *hold) {
	w.pass(time.Millisecond)
	h.To = w.now
	w.on(s, part{Verb: verbDelete, Path: lockPath, Version: -1})
}

// The sessions of a day.
const (
	resumed = iota // after the death of its process
	silent         // whose process was killed
	lapsed         // not renewed for too long, with the lock
	closed
	lasting
)

// day is an honest history with everything in it.
func day() *town {
	w := &town{world: newWorld()}
	w.pass(time.Second)
	w.note(2, event{Kind: evLeads})
	a, b, c, d, e := w.open(1, time.Second), w.open(1, time.Second), w.open(2, 2*time.Second), w.open(2, time.Second), w.open(3, time.Second)
	for i, s := range []*tenancy{a, b, c, d, e} {
		tag := string(rune('a' + i))
		w.count(s, longCounter, tag+"1")
		w.count(s, "/c/0-1", tag+"2")
		w.on(s, part{Verb: verbEphemeral, Path: "/e/" + tag, Tag: tag + "3"})
		w.on(s, part{Verb: verbEphemeralSequential, Path: "/e/n-", Tag: tag + "4"})
	}
	w.on(a, part{Verb: verbDelete, Path: "/e/a", Version: -1})
	h := w.lock(a, "a5")
	w.on(b, part{Verb: verbEphemeral, Path: lockPath, Tag: "b5"}) // refused
	w.unlock(a, h)
	w.kill(1)
	w.pass(100 * time.Millisecond)
	w.resume(a, 3, true)
	w.attempts = append(w.attempts, &attempt{Session: a.name.Session, Wrong: true, Outcome: nothing, Expired: true})
	w.count(a, longCounter, "a6").reply = reply{Outcome: unknown, On: &served{Session: a.name.Session, Name: a.name}}
	w.lock(c, "c5")
	w.pass(b.lasts)
	w.end(b, txn{Change: expires})
	w.attempts = append(w.attempts, &attempt{Session: b.name.Session, Outcome: nothing, Expired: true})
	w.lapse(c)
	w.pass(700 * time.Millisecond)
	w.end(c, txn{Change: expires})
	w.lock(d, "d5") // and no unlock: its session is closed
	w.holds[len(w.holds)-1].To = w.now + int64(time.Millisecond)
	w.close(d)
	w.lock(e, "e5")
	next := e.name
	next.Sequence++
	w.ops = append(w.ops, &op{Parts: []part{{Verb: verbSet, Path: longCounter, Tag: countTag("e6", 7), Version: 5}}, Member: 3, Call: w.now, Return: w.now + 5,
		reply: reply{Outcome: unknown, On: &served{Session: next.Session, Name: next}}}) // never handed over
	w.pass(time.Second)
	w.until = w.now
	w.log.Ephemerals = map[string]uint64{}
	for _, s := range w.sessions {
		for path := range s.owned {
			w.log.Ephemerals[path] = s.name.Session
		}
	}
	return w
}

func (w *town) judge() (map[string][]int, evidence, error) {
	final := map[string][]int{}
	for path, v := range w.tree {
		if isCounter(path) {
			final[path] = []int{countOf(v.Tag), countOf(v.Tag), countOf(v.Tag)}
		}
	}
	_, seen, err := judge(&history{ops: w.ops, lives: w.lives}, &w.log, final)
	return final, seen, err
}

func TestDay(t *testing.T) {
	w := day()
	_, seen, err := w.judge()
	if err != nil {
		t.Error(err)
	}
	if want := (evidence{counted: 10, found: 1, sessions: 5, resumed: 1, handedOver: 3, expiries: expiries{expired: 2, timed: 2}}); seen != want && seen.late < 0 {
		t.Errorf("%+v, not %+v", seen, want)
	}
	if seen.enough() == nil {
		t.Error("that was no evidence")
	}
}

func (w *town) session(i int) uint64 { return w.sessions[i].name.Session }

// last is the last transaction that fits.
func (w *town) last(fits func(*txn) bool) *txn {
	for i := len(w.log.Txns) - 1; i >= 0; i-- {
		if fits(&w.log.Txns[i]) {
			return &w.log.Txns[i]
		}
	}
	return nil
}

func (w *town) ending(i int) *txn {
	return w.last(func(t *txn) bool { return t.over() == w.session(i) })
}

func (w *town) noted(kind string, i int) *event {
	for j := range w.events {
		if e := &w.events[j]; e.Kind == kind && e.Session == w.session(i) {
			return e
		}
	}
	return nil
}

// Each lie about sessions, ephemerals, counters and the lock is found by the rule that is there for it.
func TestLiesAboutSessions(t *testing.T) {
	made := func(w *town, tag string) (int, *txn) {
		for i := range w.log.Txns {
			if t := &w.log.Txns[i]; len(t.Effects) > 0 && t.Effects[0].Tag == tag {
				return i, t
			}
		}
		return 0, nil
	}
	asked := func(w *town, tag string) *op {
		for _, p := range w.ops {
			if p.Parts[0].Tag == tag {
				return p
			}
		}
		return nil
	}
	for _, c := range []struct {
		name string
		lie  func(*town)
		want string
	}{
		{"an increment happens twice", func(w *town) {
			_, x := made(w, "b1=2")
			again := *x
			again.Effects = slices.Clone(x.Effects)
			again.Zxid = w.zxid + 1
			w.log.Txns = append(w.log.Txns, again)
		}, "is decided again"},
		{"an increment happens twice, under another number", func(w *town) {
			w.on(w.sessions[lasting], part{Verb: verbSet, Path: longCounter, Tag: countTag("b1", 2), Version: 5})
			w.ops = w.ops[:len(w.ops)-1]
		}, "becomes {Zxid"},
		{"an acknowledged increment is lost", func(w *town) {
			i, _ := made(w, "e2=5")
			w.log.Txns[i].Effects, w.log.Txns[i].Refused = nil, true
			w.tree["/c/0-1"] = value{Exists: true, Tag: "d2=4"}
		}, "the counter /c/0-1 is 4 in the end, after 5 increments"},
		{"an increment of unknown outcome is not counted", func(w *town) {
			w.tree[longCounter] = value{Exists: true, Tag: "=5"}
		}, "the counter /c/all is 5 in the end, after 6 increments"},
		{"an increment that was not handed over is counted", func(w *town) {
			w.tree[longCounter] = value{Exists: true, Tag: "=7"}
		}, "the counter /c/all is 7 in the end, after 6 increments"},
		{"a counter nobody looks at", func(w *town) { delete(w.tree, longCounter) }, "was not read in the end"},
		{"an increment of an older value", func(w *town) {
			_, x := made(w, "c1=3")
			x.Effects[0].Tag = "c1=2"
			asked(w, "c1=3").Parts[0].Tag = "c1=2"
		}, "the counter /c/all is 2, and becomes"},
		{"a call is decided under another number", func(w *town) {
			asked(w, "e4").On.Name.Sequence = 77
		}, "was answered with 1 (), and is nowhere in the log"},
		{"a call of unknown outcome is in the log under another number", func(w *town) {
			p := asked(w, "a6=6")
			p.On = &served{Session: p.On.Session, Name: core.Name{Session: p.On.Session, Generation: 1, Sequence: 9}}
		}, "not as the call"},
		{"a refusal for no reason", func(w *town) {
			o := w.on(w.sessions[lasting], part{Verb: verbEphemeral, Path: lockPath, Tag: "x"})
			o.Code = codeNoNode
		}, "was refused"},
		{"numbers have a gap", func(w *town) {
			i, _ := made(w, "c4")
			w.log.Txns = slices.Delete(w.log.Txns, i, i+1)
		}, "is decided after number"},
		{"a call of a former generation is judged", func(w *town) {
			s := w.sessions[resumed]
			former := &tenancy{name: core.Name{Session: s.name.Session, Sequence: 9}, owned: map[string]bool{}}
			w.on(former, part{Verb: verbCreate, Path: "/k/x", Tag: "x"})
		}, "of generation 1"},
		{"a session ends, and an ephemeral stays", func(w *town) {
			x := w.ending(closed)
			w.log.Ephemerals[x.Effects[0].Path] = w.session(closed)
			x.Effects = x.Effects[1:]
		}, "outlives it"},
		{"an ephemeral of an open session is gone", func(w *town) { delete(w.log.Ephemerals, "/e/e") }, "is not there"},
		{"an ephemeral is there whose session has ended", func(w *town) { w.log.Ephemerals["/e/b"] = w.session(silent) }, "in the end there is /e/b"},
		{"the end of a session takes what is not its own", func(w *town) {
			x := w.ending(closed)
			x.Effects = append(x.Effects, effect{Verb: verbDelete, Path: "/e/e"})
		}, "which is not its own"},
		{"a create after the end", func(w *town) {
			s := w.sessions[closed]
			s.owned = map[string]bool{}
			w.on(s, part{Verb: verbEphemeral, Path: "/e/late", Tag: "x"})
		}, "is decided of a session that is not open"},
		{"an ephemeral for somebody else", func(w *town) {
			_, x := made(w, "e3")
			x.Effects[0].Owner = w.session(resumed)
		}, "not its own"},
		{"a session is resumed after its end", func(w *town) { w.txn(txn{Change: moves, Session: w.session(closed)}) }, "is resumed, and is not open"},
		{"a session ends twice", func(w *town) { w.txn(txn{Change: expires, Session: w.session(closed)}) }, "ends, and is not open"},
		{"a wrong password opens", func(w *town) {
			w.attempts = append(w.attempts, &attempt{Session: w.session(lasting), Wrong: true, Outcome: done})
		}, "with a wrong password"},
		{"an open session is said to have ended", func(w *town) {
			w.attempts = append(w.attempts, &attempt{Session: w.session(lasting), Outcome: nothing, Expired: true})
		}, "by the log it is open"},
		{"a session nobody has opened", func(w *town) {
			w.attempts = append(w.attempts, &attempt{Outcome: done, Opened: 12345})
		}, "a client has session 12345"},
		{"nobody asked for the close", func(w *town) {
			w.ops = slices.DeleteFunc(w.ops, func(p *op) bool { return p.Parts[0].Verb == verbClose })
		}, "its client did not ask"},
		{"a close that was acknowledged did not happen", func(w *town) {
			w.ops = append(w.ops, &op{Parts: []part{{Verb: verbClose}}, reply: reply{Outcome: done,
				On: &served{Session: w.session(lasting), Name: core.Name{Session: w.session(lasting), Sequence: 99}}}})
		}, "was acknowledged, and by the log it is open"},
		{"a session expires at half its timeout", func(w *town) {
			e := w.noted(evEnded, silent)
			for _, p := range w.ops { // it was renewed just before its process died
				if p.On != nil && p.On.Session == w.session(silent) {
					p.On.Alive = w.ends[0].At
				}
			}
			e.At = w.ends[0].At + int64(200*time.Millisecond)
		}, "too early"},
		{"a session expires while its Context goes on", func(w *town) {
			w.noted(evEnded, lapsed).At = w.noted(evLapsed, lapsed).At + int64(300*time.Millisecond)
		}, "too early"},
		{"a session expires late", func(w *town) { w.noted(evEnded, silent).At += int64(bucket + reaction) }, "too late"},
		{"a session never expires", func(w *town) {
			i := slices.IndexFunc(w.log.Txns, func(t txn) bool { return t.over() == w.session(silent) })
			x := w.log.Txns[i]
			for _, e := range x.Effects {
				w.log.Ephemerals[e.Path] = w.session(silent)
			}
			w.log.Txns = slices.Delete(w.log.Txns, i, i+1)
			w.events = slices.DeleteFunc(w.events, func(e event) bool { return e.Kind == evEnded && e.Session == w.session(silent) })
		}, "too late"},
		{"two hold the lock", func(w *town) { w.holds[0].To, w.ends = w.holds[1].From+10, nil }, "believe to hold the lock at once"},
		{"two hold the lock, since a Context ends late", func(w *town) { w.noted(evLapsed, lapsed).At = w.holds[2].From + 10 }, "believe to hold the lock at once"},
		{"somebody else made the lock", func(w *town) { w.holds[3].Token = w.holds[1].Token }, "holds the lock with the token"},
		{"tokens go back", func(w *town) {
			h := *w.holds[0]
			h.From = w.holds[3].From + 10
			h.To = h.From + 5
			w.holds[3].To = h.From - 1
			w.holds = append(w.holds, &h)
		}, "the token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := day()
			c.lie(w)
			if _, _, err := w.judge(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the judge says %v", err)
			}
		})
	}
}

// What a stop of a process explains is no fault.
func TestStops(t *testing.T) {
	w := day()
	e := w.noted(evLapsed, lapsed)
	at := w.holds[2].From + 10
	w.pauses = []span{{Member: 2, From: e.At - int64(100*time.Millisecond), To: at}}
	w.noted(evEnded, lapsed).Member = 3
	e.At = at
	w.note(3, event{Kind: evLeads})
	w.events[len(w.events)-1].At = int64(time.Second)
	w.holds[2].Member = 3
	if _, seen, err := w.judge(); err != nil || seen.excused != 1 {
		t.Errorf("%d times, %v", seen.excused, err)
	}
	// A leader that was stopped is late, and one that has just begun gives every session its time.
	for name, excuse := range map[string]func(*town, int64){
		"pause": func(w *town, at int64) {
			w.pauses = []span{{Member: 2, From: at - int64(time.Second), To: at - int64(500*time.Millisecond)}}
		},
		"stall": func(w *town, at int64) {
			w.events = append(w.events, event{Member: 2, Kind: evStalled, At: at, Took: int64(time.Second)})
		},
		"change": func(w *town, at int64) {
			w.events = append(w.events, event{Member: 3, Kind: evLeads, At: at - int64(time.Second)})
		},
		"network": func(w *town, at int64) {
			w.held = []span{{From: w.ends[0].At - 1, To: at - int64(time.Second)}}
		},
	} {
		w := day()
		e := w.noted(evEnded, silent)
		e.At += int64(bucket + reaction)
		excuse(w, e.At)
		if _, _, err := w.judge(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
