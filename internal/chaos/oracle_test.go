package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/zab"
)

// world carries out operations one after the other, and keeps what a run would have: a history and a log.
type world struct {
	ops  []*op
	log  decided
	now  int64
	next map[string]int
	tree map[string]value
	zxid ensemble.Zxid
}

func newWorld() *world {
	return &world{next: map[string]int{}, tree: map[string]value{}, zxid: zab.Zxid(1 << 32)}
}

// do carries out parts, if that is possible, and tells the client so.
func (w *world) do(parts ...part) *op {
	w.now += 10
	o := &op{Parts: parts, Call: w.now, Return: w.now + 5, reply: reply{Outcome: done, Index: -1}}
	w.ops = append(w.ops, o)
	if o.read() {
		v := w.tree[parts[0].Path]
		o.Zxid, o.Results = w.zxid, []result{{Path: parts[0].Path, Exists: v.Exists, Tag: v.Tag, Version: v.Version}}
		return o
	}
	w.zxid++
	refuse := func(i int, c code) *op {
		if len(parts) == 1 {
			i = -1
		}
		w.log.Txns = append(w.log.Txns, txn{Zxid: w.zxid, Refused: true})
		o.reply = reply{Outcome: refused, Code: c, Index: i, Error: "refused"}
		return o
	}
	t := txn{Zxid: w.zxid}
	for i, p := range parts {
		v := w.tree[p.Path]
		e := effect{Verb: p.Verb, Path: p.Path, Tag: p.Tag}
		switch {
		case p.Verb == verbSequential:
			e.Verb, e.Path = verbCreate, fmt.Sprintf("%s%010d", p.Path, w.next[p.Path])
		case p.Verb == verbCreate && v.Exists:
			return refuse(i, codeExists)
		case p.Verb != verbCreate && !v.Exists:
			return refuse(i, codeNoNode)
		case p.Verb != verbCreate && p.Version >= 0 && p.Version != v.Version:
			return refuse(i, codeVersion)
		}
		if p.Verb == verbSet {
			e.Version = v.Version + 1
		}
		t.Effects = append(t.Effects, e)
	}
	for i, e := range t.Effects {
		if parts[i].Verb == verbSequential {
			w.next[parts[i].Path]++
		}
		w.tree[e.Path] = value{Zxid: w.zxid, Exists: e.Verb != verbDelete, Tag: e.Tag, Version: e.Version}
		o.Results = append(o.Results, result{Path: e.Path, Tag: e.Tag, Version: e.Version})
	}
	o.Zxid = w.zxid
	w.log.Txns = append(w.log.Txns, t)
	return o
}

// some is a history with everything in it. The clients were not told of some of the writes; half of those took effect.
func some(seed uint64) *world {
	w := newWorld()
	c := &client{run: &run{history: &history{begin: monotonic()}}, rng: rand.New(rand.NewPCG(seed, 0)), versions: map[string]int32{}}
	for range 2000 {
		o := w.do(c.choose()...)
		c.learn(o)
		if o.Outcome == done && !o.read() && c.rng.IntN(20) == 0 {
			o.reply = reply{Outcome: unknown}
		}
		if c.rng.IntN(20) == 0 {
			w.now += 10
			w.ops = append(w.ops, &op{Parts: []part{c.create(c.key())}, Call: w.now, Return: w.now + 5, reply: reply{Outcome: unknown}},
				&op{Parts: []part{c.set(c.key())}, Call: w.now, Return: w.now + 5, reply: reply{Outcome: nothing}})
		}
	}
	return w
}

// verdicts are those of both checks.
func verdicts(w *world) (oracle, porcupine error) {
	fate, _, oracle := judge(&history{ops: w.ops}, &w.log, nil)
	_, porcupine = linearizable(w.ops, fate, time.Minute)
	return oracle, porcupine
}

func TestTruth(t *testing.T) {
	for seed := range uint64(5) {
		w := some(seed)
		if oracle, porcupine := verdicts(w); oracle != nil || porcupine != nil {
			t.Errorf("seed %d: the oracle says %v, porcupine says %v", seed, oracle, porcupine)
		}
		seen := map[string]bool{}
		for _, o := range w.ops {
			seen[fmt.Sprint(o.Parts[0].Verb, " ", o.Outcome)] = true
			if len(o.Parts) > 1 {
				seen[fmt.Sprint("multi ", o.Outcome)] = true
			}
		}
		for _, want := range []string{"create 1", "create 2", "create 0", "set 1", "set 2", "set 0", "set 3", "delete 1", "delete 2", "sequential 1", "get 1", "multi 1", "multi 2"} {
			if !seen[want] {
				t.Errorf("seed %d has no %s", seed, want)
			}
		}
	}
}

// find returns an operation that was acknowledged, somewhere in the middle.
func (w *world) find(t *testing.T, v verb, more func(*op) bool) (*op, int) {
	t.Helper()
	for i, o := range w.ops {
		if i > len(w.ops)/2 && len(o.Parts) == 1 && o.Parts[0].Verb == v && o.Outcome == done && (more == nil || more(o)) {
			return o, i
		}
	}
	t.Fatalf("no %v", v)
	return nil, 0
}

func (w *world) at(z ensemble.Zxid) int {
	for i := range w.log.Txns {
		if w.log.Txns[i].Zxid == z {
			return i
		}
	}
	return -1
}

// Each lie is found by the check that is there for it.
func TestLies(t *testing.T) {
	for _, c := range []struct {
		name              string
		lie               func(*testing.T, *world)
		oracle, porcupine string // part of the verdict; "": whatever it is
	}{
		{"an acknowledged write is lost", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSequential, nil)
			i := w.at(o.Zxid)
			w.log.Txns = append(w.log.Txns[:i:i], w.log.Txns[i+1:]...)
		}, "lost: ", ""},
		{"a sequential create is doubled", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSequential, nil)
			e := w.log.Txns[w.at(o.Zxid)].Effects[0]
			e.Path = fmt.Sprintf("%s%010d", o.Parts[0].Path, w.next[o.Parts[0].Path])
			w.log.Txns = append(w.log.Txns, txn{Zxid: w.zxid + 1, Effects: []effect{e}})
		}, "is in the log 2 times", ""},
		{"a write of unknown outcome happens twice", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSequential, nil)
			e := w.log.Txns[w.at(o.Zxid)].Effects[0]
			e.Path = fmt.Sprintf("%s%010d", o.Parts[0].Path, w.next[o.Parts[0].Path])
			w.log.Txns = append(w.log.Txns, txn{Zxid: w.zxid + 1, Effects: []effect{e}})
			o.reply = reply{Outcome: unknown}
		}, "is in the log 2 times", ""},
		{"a read is stale", func(t *testing.T, w *world) {
			set, _ := w.find(t, verbSet, nil)
			before := w.log.Txns[w.at(set.Zxid)-1].Zxid
			o := newOracle(&w.log)
			v := o.valueAt(set.Parts[0].Path, before)
			w.ops = append(w.ops, &op{Parts: []part{{Verb: verbGet, Path: set.Parts[0].Path}}, Call: set.Return + 1, Return: set.Return + 3,
				reply: reply{Outcome: done, Zxid: before, Results: []result{{Path: set.Parts[0].Path, Exists: true, Tag: v.Tag, Version: v.Version}}}})
		}, "stale: ", "no order"},
		{"a read shows what was never there", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbGet, func(o *op) bool { return o.Results[0].Exists })
			o.Results[0].Tag = "0-0"
		}, "and the log has", "no order"},
		{"a refusal took effect", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbCreate, nil)
			o.reply = reply{Outcome: refused, Code: codeExists, Index: -1, Error: "exists"}
		}, "the client was told that it did not happen", "no order"},
		{"a delete that was refused took effect", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbDelete, func(o *op) bool { return true })
			o.reply = reply{Outcome: refused, Code: codeNoNode, Index: -1, Error: "no node"}
		}, "nobody asked for it or it was refused", "no order"},
		{"a write that was not handed over took effect", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSet, nil)
			o.reply = reply{Outcome: nothing, Error: "no quorum"}
		}, "the client was told that it did not happen", ""},
		{"a refusal for no reason", func(t *testing.T, w *world) {
			var at string
			for path, v := range w.tree {
				if v.Exists && strings.HasPrefix(path, "/k/") {
					at = path
				}
			}
			w.now += 10
			w.ops = append(w.ops, &op{Parts: []part{{Verb: verbSet, Path: at, Tag: "x", Version: -1}}, Call: w.now, Return: w.now + 5,
				reply: reply{Outcome: refused, Code: codeNoNode, Index: -1}})
		}, "", "no order"},
		{"a wrong version is accepted", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSet, func(o *op) bool { return o.Parts[0].Version >= 0 })
			o.Parts[0].Version++
		}, "and the log has", "no order"},
		{"a sequential number is used again", func(t *testing.T, w *world) {
			o, _ := w.find(t, verbSequential, nil)
			e := w.log.Txns[w.at(o.Zxid)].Effects[0]
			e.Tag = "9-9"
			w.log.Txns = append(w.log.Txns, txn{Zxid: w.zxid + 1, Effects: []effect{e}})
			w.ops = append(w.ops, &op{Parts: []part{{Verb: verbSequential, Path: o.Parts[0].Path, Tag: "9-9"}}, Call: w.now, Return: w.now,
				reply: reply{Outcome: done, Zxid: w.zxid + 1, Results: []result{{Path: e.Path}}}})
		}, "is made, and was there", ""},
		{"half of a multi", func(t *testing.T, w *world) {
			for i, x := range w.log.Txns {
				if len(x.Effects) == 2 {
					w.log.Txns[i].Effects = x.Effects[:1]
					return
				}
			}
		}, "and the log has", ""},
		{"nobody asked", func(t *testing.T, w *world) {
			w.log.Txns = append(w.log.Txns, txn{Zxid: w.zxid + 1, Effects: []effect{{Verb: verbCreate, Path: "/k/new", Tag: "8-8"}}})
		}, "nobody asked for it", ""},
		{"the order of the log is not that of time", func(t *testing.T, w *world) {
			o, i := w.find(t, verbSequential, nil)
			for _, later := range w.ops[i+1:] {
				if later.Outcome == done && !later.read() {
					o.Call, o.Return = later.Return+1, later.Return+2
					return
				}
			}
		}, "and began when", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := some(1)
			c.lie(t, w)
			oracle, porcupine := verdicts(w)
			if c.oracle != "" && (oracle == nil || !strings.Contains(oracle.Error(), c.oracle)) {
				t.Errorf("the oracle says %v", oracle)
			}
			if c.porcupine != "" && (porcupine == nil || !strings.Contains(porcupine.Error(), c.porcupine)) {
				t.Errorf("porcupine says %v", porcupine)
			}
		})
	}
}

// A check that ran out of time has not passed.
func TestNoTime(t *testing.T) {
	w := some(1)
	fate, _, _ := judge(&history{ops: w.ops}, &w.log, nil)
	if _, err := linearizable(w.ops, fate, 0); !errors.As(err, new(invalid)) {
		t.Errorf("%v", err)
	}
}

// Logs that differ, or of which a part is missing, are no oracle.
func TestMerge(t *testing.T) {
	entry := func(z, prev ensemble.Zxid, data string) zab.Entry {
		return zab.Entry{Zxid: z, Prev: prev, Kind: zab.EntryData, Data: []byte(data)}
	}
	log := func(list ...zab.Entry) map[ensemble.Zxid]zab.Entry {
		m := map[ensemble.Zxid]zab.Entry{}
		for _, e := range list {
			m[e.Zxid] = e
		}
		return m
	}
	a, b, c := entry(1, 0, "a"), entry(2, 1, "b"), entry(3, 2, "c")
	for _, x := range []struct {
		name string
		logs map[ensemble.ID]map[ensemble.Zxid]zab.Entry
		want string
	}{
		{"whole", map[ensemble.ID]map[ensemble.Zxid]zab.Entry{1: log(a, b), 2: log(b, c), 3: log(a)}, ""},
		{"a gap", map[ensemble.ID]map[ensemble.Zxid]zab.Entry{1: log(a), 2: log(c), 3: log(a, c)}, "no member has the entry"},
		{"different", map[ensemble.ID]map[ensemble.Zxid]zab.Entry{1: log(a, b, c), 2: log(a, entry(2, 1, "other"), c)}, "different entries"},
		{"different past", map[ensemble.ID]map[ensemble.Zxid]zab.Entry{1: log(a, b, c), 2: log(a, b, entry(3, 1, "c"))}, "different entries"},
		{"backwards", map[ensemble.ID]map[ensemble.Zxid]zab.Entry{1: log(entry(3, 3, ""))}, "the entry before"},
	} {
		entries, err := merge(x.logs, 3)
		switch {
		case x.want == "" && (err != nil || len(entries) != 3 || entries[0].Zxid != 1):
			t.Errorf("%s: %v, %v", x.name, entries, err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v", x.name, err)
		}
	}
}
