package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

// value is a znode as the log has it from Zxid on.
type value struct {
	Zxid    ensemble.Zxid
	Exists  bool
	Tag     string
	Version int32
}

// oracle judges what clients were told by the log.
type oracle struct {
	log    *decided
	at     map[ensemble.Zxid]*txn
	named  map[core.Name]*txn
	byTag  map[string][]ensemble.Zxid
	values map[string][]value
	faults []error
	fate   map[*op]ensemble.Zxid // of writes whose outcome nobody was told: where the log has them
	claims map[ensemble.Zxid]*op
}

// judge returns everything that contradicts the log, and where the log has the writes whose outcome is not known.
func judge(h *history, log *decided, final map[string][]int) (fate map[*op]ensemble.Zxid, seen evidence, err error) {
	o, w := newOracle(log), newWatch(h.lives)
	o.writes(h.ops)
	seen.counted, seen.found = o.increments(h.ops, final)
	all := o.sessions()
	seen.resumed = o.told(all, h.attempts, h.ops)
	seen.expiries = o.timing(all, w, h.ops)
	seen.handedOver, seen.excused = o.exclusion(all, w)
	for _, l := range all {
		if l.client {
			seen.sessions++
		}
	}
	return o.fate, seen, o.verdict()
}

// evidence is how much there was to judge.
type evidence struct {
	counted, found      int // increments that were acknowledged, and others that the log has
	sessions, resumed   int
	handedOver, excused int
	expiries
}

func (e evidence) String() string {
	return fmt.Sprintf("counters: %d increments acknowledged, %d more found in the log; sessions: %d, of which %d were resumed after the death of their process, %d expired, at worst %v after timeout and bucket (%d judged); lock: handed over %d times, %d times while a process was stopped",
		e.counted, e.found, e.sessions, e.resumed, e.expired, e.late.Round(time.Millisecond), e.timed, e.handedOver, e.excused)
}

// enough demands enough of each.
func (e evidence) enough() error {
	var errs []error
	for _, x := range []struct {
		what    string
		n, want int
	}{
		{"increments", e.counted, leastCounted}, {"sessions resumed after the death of their process", e.resumed, leastResumed},
		{"ends of silent sessions", e.timed, leastTimed}, {"hand-overs of the lock", e.handedOver, leastHanded},
	} {
		if x.n < x.want {
			errs = append(errs, fmt.Errorf("%d %s; %d are the least", x.n, x.what, x.want))
		}
	}
	return errors.Join(errs...)
}

func newOracle(log *decided) *oracle {
	o := &oracle{log: log, at: map[ensemble.Zxid]*txn{}, named: map[core.Name]*txn{}, byTag: map[string][]ensemble.Zxid{}, values: map[string][]value{},
		fate: map[*op]ensemble.Zxid{}, claims: map[ensemble.Zxid]*op{}}
	o.replay()
	return o
}

// writes judges what clients asked for.
func (o *oracle) writes(ops []*op) {
	for _, p := range ops {
		switch {
		case p.read():
		case p.named():
			o.byName(p)
		default:
			o.once(p)
		}
	}
	o.deletes(ops)
	for i := range o.log.Txns {
		if t := &o.log.Txns[i]; o.claims[t.Zxid] == nil && t.Change == call && !t.Refused {
			o.fault("%v: %v is in the log, and nobody asked for it or it was refused", t.Zxid, t.Effects)
		}
	}
	o.order(ops)
}

func (o *oracle) verdict() error {
	if len(o.faults) > 20 {
		o.faults = append(o.faults[:20], fmt.Errorf("and %d more", len(o.faults)-20))
	}
	return errors.Join(o.faults...)
}

func (o *oracle) fault(format string, args ...any) {
	o.faults = append(o.faults, fmt.Errorf(format, args...))
}

// replay reads the log: each transaction must make sense after those before it.
func (o *oracle) replay() {
	numbers := map[string]string{} // the last number below a sequential path
	var last ensemble.Zxid
	for i := range o.log.Txns {
		t := &o.log.Txns[i]
		if t.Zxid <= last {
			o.fault("%v follows %v in the log", t.Zxid, last)
		}
		last = t.Zxid
		o.at[t.Zxid] = t
		if t.Name.Session != 0 {
			if other := o.named[t.Name]; other != nil {
				o.fault("%v: the call %v is decided again, after %v", t.Zxid, t.Name, other.Zxid)
			}
			o.named[t.Name] = t
		}
		for _, e := range t.Effects {
			was := value{}
			if h := o.values[e.Path]; len(h) > 0 {
				was = h[len(h)-1]
			}
			now := value{Zxid: t.Zxid, Exists: e.Verb != verbDelete, Tag: e.Tag}
			switch e.Verb {
			case verbSet:
				now.Version = was.Version + 1
				if !was.Exists || e.Version != now.Version {
					o.fault("%v: the set of %s makes version %d of %+v", t.Zxid, e.Path, e.Version, was)
				}
			case verbCreate:
				if was.Exists {
					o.fault("%v: %s is made, and was there", t.Zxid, e.Path)
				}
				if n := len(e.Path) - 10; (strings.HasPrefix(e.Path, "/s/") || strings.HasPrefix(e.Path, "/e/n-")) && n >= 5 {
					if e.Path[n:] <= numbers[e.Path[:n]] {
						o.fault("%v: %s is made after %s", t.Zxid, e.Path, numbers[e.Path[:n]])
					}
					numbers[e.Path[:n]] = e.Path[n:]
				}
			case verbDelete:
				if !was.Exists {
					o.fault("%v: %s is deleted, and was not there", t.Zxid, e.Path)
				}
			}
			o.values[e.Path] = append(o.values[e.Path], now)
			if e.Tag != "" {
				o.byTag[e.Tag] = append(o.byTag[e.Tag], t.Zxid)
			}
		}
	}
}

// once looks for a write in the log, where it is there as often as its outcome allows.
func (o *oracle) once(p *op) {
	if p.Outcome == done {
		t := o.at[p.Zxid]
		if t == nil {
			o.fault("lost: %v was acknowledged at %v", p.Parts, p.Zxid)
			return
		}
		if !matches(p, t) || !agrees(p, t) {
			o.fault("%v: %v was acknowledged with %v, and the log has %v", p.Zxid, p.Parts, p.Results, t.Effects)
		}
		o.claim(p, p.Zxid)
	}
	for _, part := range p.Parts {
		if part.Tag == "" {
			continue
		}
		at := o.byTag[part.Tag]
		switch {
		case len(at) > 1:
			o.fault("%v is in the log %d times, at %v", part, len(at), at)
		case len(at) == 0:
			if p.Outcome == done {
				o.fault("lost: %v was acknowledged at %v, and is nowhere in the log", part, p.Zxid)
			}
		case p.Outcome == refused || p.Outcome == nothing:
			o.fault("%v is in the log at %v, and the client was told that it did not happen: %s", part, at[0], p.Error)
		case p.Outcome == done && at[0] != p.Zxid:
			o.fault("%v was acknowledged at %v, and is in the log at %v", part, p.Zxid, at[0])
		case p.Outcome == unknown:
			if _, found := o.fate[p]; found {
				continue // by another part
			}
			if !matches(p, o.at[at[0]]) {
				o.fault("%v: %v was asked for, and the log has %v", at[0], p.Parts, o.at[at[0]].Effects)
			}
			o.claim(p, at[0])
			o.fate[p] = at[0]
		}
	}
}

// byName judges a write on a client's session: session, generation and number say where the log has it, if it has it, whatever the client was told.
func (o *oracle) byName(p *op) {
	t := o.named[p.On.Name]
	if t != nil && p.Outcome != unknown && t.Refused != (p.Outcome == refused) {
		o.fault("%v: of the call %v, %v, the client was told %d (%s), and the log has refused %v", t.Zxid, p.On.Name, p.Parts, p.Outcome, p.Error, t.Refused)
		return
	}
	closing := p.Parts[0].Verb == verbClose
	switch {
	case t == nil && p.Outcome == done && closing:
		// Its end had been decided before, which is no error. The rules of sessions look for it.
	case t == nil && (p.Outcome == done || p.Outcome == refused):
		o.fault("lost: the call %v, %v, was answered with %d (%s), and is nowhere in the log", p.On.Name, p.Parts, p.Outcome, p.Error)
	case t == nil, t.Refused:
		for _, part := range p.Parts {
			if at := o.byTag[part.Tag]; part.Tag != "" && len(at) > 0 {
				o.fault("%v is in the log at %v, not as the call %v", part, at, p.On.Name)
			}
		}
		if t != nil && p.Outcome == refused {
			o.rightly(p, t)
		}
	case closing != (t.Change == closes):
		o.fault("%v: the call %v asked for %v, and the log has %+v", t.Zxid, p.On.Name, p.Parts, t)
	case closing:
	default:
		if p.Outcome == unknown {
			o.fate[p] = t.Zxid
		}
		if !matches(p, t) || p.Outcome == done && (t.Zxid != p.Zxid || !agrees(p, t)) {
			o.fault("%v: the call %v asked for %v and was answered with %v at %v, and the log has %v", t.Zxid, p.On.Name, p.Parts, p.Results, p.Zxid, t.Effects)
		}
		for _, part := range p.Parts {
			if at := o.byTag[part.Tag]; part.Tag != "" && (len(at) != 1 || at[0] != t.Zxid) {
				o.fault("%v, the call %v, is in the log %d times, at %v, and decided at %v", part, p.On.Name, len(at), at, t.Zxid)
			}
		}
		o.claim(p, t.Zxid)
	}
}

// rightly judges a refusal by what was there before it was decided.
func (o *oracle) rightly(p *op, t *txn) {
	part := p.Parts[0]
	v := o.valueAt(part.Path, t.Zxid-1)
	right := false
	switch p.Code {
	case codeExists:
		right = v.Exists && (part.Verb == verbCreate || part.Verb == verbEphemeral)
	case codeNoNode:
		right = !v.Exists && (part.Verb == verbSet || part.Verb == verbDelete)
	case codeVersion:
		right = v.Exists && part.Version >= 0 && part.Version != v.Version
	}
	if !right {
		o.fault("%v: %v was refused (%s), and the log has %+v", t.Zxid, p.Parts, p.Error, v)
	}
}

func (o *oracle) claim(p *op, z ensemble.Zxid) {
	if other := o.claims[z]; other != nil {
		o.fault("%v: both %v and %v, where the log has one of them", z, other.Parts, p.Parts)
	}
	o.claims[z] = p
}

// deletes gives the deletes in the log that were not acknowledged to deletes whose outcome is not known: at most one to each. Nothing else tells them apart.
func (o *oracle) deletes(ops []*op) {
	open := map[string][]*op{}
	for _, p := range ops {
		if p.untoldDelete() {
			open[p.Parts[0].Path] = append(open[p.Parts[0].Path], p)
		}
	}
	for _, list := range open {
		slices.SortFunc(list, func(a, b *op) int { return int(a.Call - b.Call) })
	}
	for _, t := range o.log.Txns {
		if o.claims[t.Zxid] != nil || len(t.Effects) != 1 || t.Effects[0].Verb != verbDelete {
			continue
		}
		path := t.Effects[0].Path
		if list := open[path]; len(list) > 0 {
			o.claims[t.Zxid], o.fate[list[0]] = list[0], t.Zxid
			open[path] = list[1:]
		}
	}
}

// matches reports whether a transaction is what an operation asked for.
func matches(p *op, t *txn) bool {
	if len(p.Parts) != len(t.Effects) {
		return false
	}
	for i, part := range p.Parts {
		e := t.Effects[i]
		switch {
		case part.Verb == verbSequential, part.Verb == verbEphemeralSequential:
			if e.Verb != verbCreate || !strings.HasPrefix(e.Path, part.Path) || len(e.Path) != len(part.Path)+10 {
				return false
			}
		case part.Verb == verbEphemeral:
			if e.Verb != verbCreate || e.Path != part.Path {
				return false
			}
		case e.Verb != part.Verb || e.Path != part.Path:
			return false
		}
		if owner := e.Owner != 0; owner != (part.Verb == verbEphemeral || part.Verb == verbEphemeralSequential) {
			return false
		}
		if e.Tag != part.Tag {
			return false
		}
		if part.Verb == verbSet && part.Version >= 0 && e.Version != part.Version+1 {
			return false
		}
	}
	return true
}

// agrees reports whether the client was told what the transaction did.
func agrees(p *op, t *txn) bool {
	if len(p.Results) != len(t.Effects) {
		return false
	}
	for i, r := range p.Results {
		e := t.Effects[i]
		if r.Path != e.Path || e.Verb != verbDelete && r.Version != e.Version {
			return false
		}
	}
	return true
}

// valueAt is a znode as of z.
func (o *oracle) valueAt(path string, z ensemble.Zxid) value {
	h := o.values[path]
	i := sort.Search(len(h), func(i int) bool { return h[i].Zxid > z })
	if i == 0 {
		return value{}
	}
	return h[i-1]
}

// order compares the log with the clock: what was answered before a call began lies before it, for writes and for reads after a Sync. And each read shows what the log has.
func (o *oracle) order(ops []*op) {
	type answered struct {
		at   int64
		zxid ensemble.Zxid // the greatest so far
	}
	acks := slices.Clone(ops)
	slices.SortFunc(acks, func(a, b *op) int { return int(a.Return - b.Return) })
	var known []answered
	for _, p := range acks {
		if p.Outcome != done || p.read() || p.Zxid == 0 { // what closes a session is told no zxid
			continue
		}
		z := p.Zxid
		if n := len(known); n > 0 {
			z = max(z, known[n-1].zxid)
		}
		known = append(known, answered{p.Return, z})
	}
	for _, p := range ops {
		if p.Outcome != done || p.Zxid == 0 {
			continue
		}
		i := sort.Search(len(known), func(i int) bool { return known[i].at >= p.Call })
		var before ensemble.Zxid
		if i > 0 {
			before = known[i-1].zxid
		}
		if !p.read() {
			if p.Zxid <= before {
				o.fault("%v was acknowledged at %v, and began when %v had been acknowledged", p.Parts, p.Zxid, before)
			}
			continue
		}
		r := p.Results[0]
		if p.Zxid < before {
			o.fault("stale: %v read the state of %v, and began when %v had been acknowledged", p.Parts, p.Zxid, before)
		}
		// What is not there is read somewhat after what its Sync returned, so any state from there on may be the one.
		v := o.valueAt(r.Path, p.Zxid)
		if r.Exists != v.Exists || r.Exists && (r.Tag != v.Tag || r.Version != v.Version) {
			if !r.Exists && o.absentAfter(r.Path, p.Zxid) {
				continue
			}
			o.fault("%v: %v read %+v, and the log has %+v", p.Zxid, p.Parts, r, v)
		}
	}
}

func (o *oracle) absentAfter(path string, z ensemble.Zxid) bool {
	for _, v := range o.values[path] {
		if v.Zxid > z && !v.Exists {
			return true
		}
	}
	return false
}

// bounds says when a write whose outcome nobody was told had taken effect at the latest: when somebody was told of something later in the log.
func bounds(ops []*op) func(ensemble.Zxid) int64 {
	var told []*op
	for _, p := range ops {
		if p.Outcome == done {
			told = append(told, p)
		}
	}
	slices.SortFunc(told, func(a, b *op) int {
		if a.Zxid < b.Zxid {
			return -1
		} else if a.Zxid > b.Zxid {
			return 1
		}
		return 0
	})
	first := make([]int64, len(told)+1)
	first[len(told)] = math.MaxInt64
	for i := len(told) - 1; i >= 0; i-- {
		first[i] = min(first[i+1], told[i].Return)
	}
	return func(z ensemble.Zxid) int64 {
		return first[sort.Search(len(told), func(i int) bool { return told[i].Zxid >= z })]
	}
}
