package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/link"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// World is one run.
type World struct {
	cfg      Config
	verifier quorum.Verifier
	nodes    []*node
	pairs    []*pair
	queue    queue
	now      Time
	stopAt   Time

	net, disk, load, nemesis, sched, nonces, media, guess, watching, visiting, healing *rand.Rand

	actions  []Action
	nextAct  int
	ambushes []ambush
	faults   [faultKinds]int
	total    int
	wipes    int
	phase    int
	healed   Time   // 0: faults go on
	left     uint64 // bits of the members whose faults go on
	entered  Time   // when the phase began
	limit    Time   // of the phase, moved by progress
	end      Time   // of the phase, whatever goes on
	frozen   standstill
	sum      uint64 // of what was applied when it was set
	quiet    bool   // clients ask for nothing more
	hushed   bool   // they were told so once, since a laggard did not catch up
	maxData  int
	wall     func() int64 // nil: the clocks of the members
	began    func(*node)  // told of each start; nil: nobody
	ended    bool

	history
	judge
	serving
	work     workload
	watchers []*watcher
	guests   []*guest
	ring
	dog     watchdog
	steps   uint64
	covered Cover
	scratch core.Receive

	streams []*stream
	slab    []byte
	buf     []byte
	raw     []byte // the message that is being stepped, encoded
	sending link.Output
}

// Result of a run.
type Outcome struct {
	Seed   uint64
	Err    error
	Faults int
	Wipes  int
	Steps  uint64
	Hash   uint64
	Writes int
	Calls  int
	Cover  Cover
	Kinds  [faultKinds]int
	Time   Time
	Last   []string // events before a failure
}

// failure is what an invariant says.
type failure struct{ err error }

func (w *World) fail(id, format string, args ...any) {
	panic(failure{fmt.Errorf("%s: %s", id, fmt.Sprintf(format, args...))})
}

// Options of a run.
type Options struct {
	Config  *Config  // nil: drawn from the seed
	Actions []Action // nil: drawn from the seed
	Calls   int      // clients stop after so many calls; 0: no limit
}

// Run runs one seed.
func Run(seed uint64, o Options) (out Outcome) {
	w := newWorld(seed, o)
	return w.run()
}

func newWorld(seed uint64, o Options) *World {
	w := &World{cfg: newConfig(seed), maxData: maxData}
	if o.Config != nil {
		w.cfg = *o.Config
	}
	w.net = rand.New(rand.NewPCG(seed, 1))
	w.disk = rand.New(rand.NewPCG(seed, 2))
	w.load = rand.New(rand.NewPCG(seed, 3))
	w.nemesis = rand.New(rand.NewPCG(seed, 4))
	w.sched = rand.New(rand.NewPCG(seed, 5))
	w.nonces = rand.New(rand.NewPCG(seed, 6))
	w.media = rand.New(rand.NewPCG(seed, 7))
	w.guess = rand.New(rand.NewPCG(seed, 8))
	w.watching = rand.New(rand.NewPCG(seed, 9))
	w.visiting = rand.New(rand.NewPCG(seed, 10))
	w.healing = rand.New(rand.NewPCG(seed, 11))
	w.buf = make([]byte, 256)
	w.history = newHistory(o.Calls)
	w.judge = newJudge()
	w.serving = newServing()
	w.work = newWorkload(&w.cfg, w.load, &w.ref.past)
	w.ref.load = &w.work
	w.watchers = newWatchers(&w.cfg, w.watching)
	w.guests = newGuests(&w.cfg)
	w.ref.ownTimeout = uint32(w.cfg.Own / ms)
	w.ref.watched = len(w.watchers) > 0
	var err error
	if w.verifier, err = quorum.New(w.cfg.members()); err != nil {
		panic(err)
	}
	n := w.cfg.nodes()
	w.pairs = make([]*pair, n*n)
	var ensemble zab.EnsembleID
	ensemble[0] = 1
	for i := range n {
		m := &node{id: quorum.ID(i + 1), idx: i, drift: w.cfg.Drift[i], inc: w.incarnation(), clients: make([]caller, w.cfg.Clients)}
		m.watch.heard, m.watch.hearing = make([]int, n), newHearing(n, w.cfg.Voters)
		if w.cfg.Bootstrap {
			w.counting.born, w.counting.ensemble = true, ensemble
			m.disk.mark = zab.Mark{Ensemble: ensemble, Member: m.id, Incarnation: m.inc, Counts: true, Born: true}
		}
		m.drive = newDrive(m.id, &w.cfg, w.media, func() time.Duration { return time.Duration(w.now) })
		m.drive.peek = func() { w.glimpse(imageEvery) }
		w.format(m)
		w.nodes = append(w.nodes, m)
		for j := range i {
			w.pairs[j*n+i] = &pair{a: j, b: i, number: 1}
		}
	}
	w.actions = o.Actions
	if w.actions == nil {
		w.actions = drawActions(&w.cfg, w.nemesis)
	}
	return w
}

func (w *World) incarnation() (inc zab.Incarnation) {
	for i := range inc {
		inc[i] = byte(w.sched.Uint32())
	}
	return inc
}

func (w *World) push(e event) { w.queue.push(e) }

// run begins, and goes on until the last phase is over.
func (w *World) run() Outcome {
	return w.guarded(func() {
		w.start()
		w.finish()
	})
}

// guarded runs f, and returns how the run stands then. An invariant that is broken ends f.
func (w *World) guarded(f func()) (out Outcome) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				f.err = fmt.Errorf("inv/PANIC: %v\n%s", r, debug.Stack())
			}
			out = w.outcome()
			out.Err, out.Last = f.err, w.tail()
		}
	}()
	f()
	return w.outcome()
}

// start puts into the queue what happens by itself.
func (w *World) start() {
	for _, n := range w.nodes {
		w.push(event{at: between(w.sched, 0, 4*w.cfg.Tick), kind: evRestart, node: int32(n.idx), run: n.run})
	}
	for i := range w.watchers {
		w.push(event{at: between(w.watching, 0, 4*w.cfg.Tick), kind: evWatcher, a: uint64(i)})
	}
	for i := range w.guests {
		w.push(event{at: between(w.visiting, 0, 4*w.cfg.Tick), kind: evGuest, a: uint64(i)})
	}
	w.stopAt = w.cfg.Warm + w.cfg.Chaos
	w.push(event{at: w.stopAt, kind: evPhase})
	if len(w.actions) > 0 {
		w.push(event{at: w.actions[0].At, kind: evAction})
	}
}

func (w *World) finish() {
	for !w.ended {
		w.next()
	}
}

// next has the next event happen.
func (w *World) next() {
	if len(w.queue.h) == 0 {
		w.fail("inv/LIVE", "nothing left to happen")
	}
	e := w.queue.pop()
	w.watchdog(e.at)
	w.now = e.at
	w.handle(&e)
}

func (w *World) outcome() Outcome {
	return Outcome{Seed: w.cfg.Seed, Faults: w.total, Wipes: w.wipes, Steps: w.steps, Hash: w.hash, Writes: len(w.log), Calls: len(w.calls), Cover: w.covered, Kinds: w.faults, Time: w.now}
}

func (w *World) handle(e *event) {
	n := w.nodes[e.node]
	switch e.kind {
	case evFrame:
		w.arrive(e)
		return
	case evHint:
		w.hinted(e)
		return
	case evAction:
		w.act(w.actions[w.nextAct])
		if w.nextAct++; w.nextAct < len(w.actions) {
			w.push(event{at: max(w.now, w.actions[w.nextAct].At), kind: evAction})
		}
		return
	case evUndo:
		e.msg.(func())()
		return
	case evPhase:
		w.nextPhase()
		return
	case evWatcher:
		w.watcherTurn(int(e.a))
		return
	case evGuest:
		w.guestTurn(int(e.a))
		return
	case evCheck:
		w.checkPhase()
		return
	}
	if n.run != e.run {
		return
	}
	switch e.kind {
	case evRestart:
		w.restart(n)
		return
	case evResume:
		if n.up && n.paused && !w.isLeft(n) {
			n.paused = false
			n.work(w)
		}
		return
	}
	if !n.up {
		return
	}
	switch e.kind {
	case evTick:
		w.ticked(n)
	case evFlushed:
		w.flushed(n)
	case evDrain:
		n.work(w)
	case evRead:
		w.recall(n, e.msg.(zab.Read))
	case evPiece:
		w.takePiece(n, e.msg.(zab.Piece))
	case evKeep:
		w.keepOn(n)
	case evLapse:
		w.lapse(e)
	case evClient:
		w.clientTurn(n, int(e.a))
	}
}
