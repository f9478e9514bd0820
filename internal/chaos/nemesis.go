package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/ensemble-go/ensemble"
)

// kind is a kind of fault.
type kind int

const (
	killed    kind = iota // SIGKILL
	paused                // SIGSTOP, SIGCONT
	partition             // a member hears nobody and is heard by nobody
	silence               // one way between two members
	late                  // delay between two members
	lost                  // their connections end
	midFrame              // the same, in the middle of a frame
	halfOpen              // the same, and only one side is told
	fullDisk
	kinds
)

func (k kind) String() string {
	return [...]string{"kill", "pause", "partition", "one-way silence", "delay", "lost connection", "cut in a frame", "half-open connection", "full disk"}[k]
}

// planned is how many of a kind there are in a round.
func (r *run) planned(k kind) int {
	if k == fullDisk {
		if r.disk == nil {
			return 0
		}
		return 2
	}
	return 12
}

// tally is what came of the faults of a kind.
type tally struct {
	done      int
	effective int
	worst     time.Duration // until service was back
	sum       time.Duration
}

// torment carries out rounds of faults, each kind as often as planned, in an order of the seed's.
func (r *run) torment(ctx context.Context) error {
	begin := time.Now()
	order := rand.New(rand.NewPCG(r.seed, 0))
	for round := 0; round == 0 || time.Since(begin) < r.duration; round++ {
		var faults []kind
		for k := range kinds {
			for range r.planned(k) {
				faults = append(faults, k)
			}
		}
		order.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for i, k := range faults {
			r.rng = rand.New(rand.NewPCG(r.seed, uint64(round+1)<<32|uint64(i+1))) // what one fault draws does not change the next
			if !sleep(ctx, r.between(50, 300)) {
				return context.Cause(ctx)
			}
			if err := r.fault(ctx, k); err != nil {
				return fmt.Errorf("round %d, fault %d, %v: %w", round+1, i+1, k, err)
			}
		}
	}
	return nil
}

// between is a time, in milliseconds.
func (r *run) between(least, most int) time.Duration {
	return time.Duration(least+r.rng.IntN(most-least+1)) * time.Millisecond
}

// fault does one thing, takes it back, and waits until service is back.
func (r *run) fault(ctx context.Context, k kind) error {
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	member, other := leader, ensemble.ID(0)
	if r.rng.IntN(2) == 0 {
		member = (leader+ensemble.ID(r.rng.IntN(size-1)))%size + 1
	}
	other = (member+ensemble.ID(r.rng.IntN(size-1)))%size + 1
	if member != leader && (k == silence || k == late || k == midFrame) {
		other = leader // two followers have little to say to each other
	}
	variant, long := r.rng.IntN(6), r.between(200, 1500)
	what := fmt.Sprintf("member %d (leader %d)", member, leader)
	effective, pause, begin := false, span{Member: member}, monotonic()
	switch k {
	case killed:
		members := []ensemble.ID{member}
		if variant == 0 { // all of them at once
			members = []ensemble.ID{1, 2, 3}
			what = "all members"
		}
		effective = true
		for _, id := range members {
			effective = r.cluster.kill(id) && effective
		}
		sleep(ctx, long)
	case paused:
		pause.From = monotonic()
		effective = r.cluster.signal(member, syscall.SIGSTOP)
		sleep(ctx, long)
	case partition:
		rules := map[way]rule{}
		for id := ensemble.ID(1); id <= size; id++ {
			if id != member {
				x := rule{hold: variant < 3, refuse: variant >= 3}
				rules[way{member, id}], rules[way{id, member}] = x, x
			}
		}
		r.net.set(rules)
		// It has an effect when the member knows that it is alone.
		for end := time.Now().Add(max(long, 1200*time.Millisecond)); time.Now().Before(end); sleep(ctx, 20*time.Millisecond) {
			if s, err := r.cluster.status(member); err == nil && !s.Ready {
				effective = r.net.effects() > 0
			}
		}
		what += fmt.Sprintf(", %+v", rule{hold: variant < 3, refuse: variant >= 3})
	case silence, late:
		x := rule{hold: true}
		if k == late {
			x = rule{delay: r.between(20, 200)}
		}
		rules := map[way]rule{{member, other}: x}
		if k == late && variant < 3 {
			rules[way{other, member}] = x
		}
		r.net.set(rules)
		sleep(ctx, max(long, 700*time.Millisecond))
		effective = r.net.effects() > 0
		what += fmt.Sprintf(" to %d, %+v", other, x)
	case lost:
		effective = r.net.lose(member, other) > 0
		what += fmt.Sprintf(" and %d", other)
	case midFrame:
		n := r.net.cutAfter(way{member, other}, func() int { return 1 + r.rng.IntN(300) })
		for end := time.Now().Add(2 * time.Second); n > 0 && !effective && time.Now().Before(end); sleep(ctx, 5*time.Millisecond) {
			effective = r.net.effects() > 0
		}
		what += fmt.Sprintf(" to %d", other)
	case halfOpen:
		effective = r.net.halve(member, other) > 0
		sleep(ctx, long)
		what += fmt.Sprintf(" knows, %d does not", other)
	case fullDisk:
		what = fmt.Sprintf("member %d", size)
		if effective, err = r.fillDisk(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	healed := time.Now()
	r.net.set(map[way]rule{})
	if k == paused && !r.cluster.signal(member, syscall.SIGCONT) {
		return fmt.Errorf("member %d does not go on", member)
	}
	r.history.note(func(l *lives) {
		switch k {
		case paused:
			pause.To = monotonic()
			l.pauses = append(l.pauses, pause)
		case partition, silence, late, halfOpen:
			l.held = append(l.held, span{From: begin, To: monotonic()})
		}
	})
	var down []ensemble.ID
	for id := ensemble.ID(1); id <= size; id++ {
		select {
		case <-r.cluster.process(id).ended:
		default:
			continue
		}
		if k != killed && k != fullDisk {
			return fmt.Errorf("the process of member %d has ended by itself: %v", id, r.cluster.process(id).cmd.ProcessState)
		}
		down = append(down, id)
	}
	if err := r.cluster.startAll(down); err != nil {
		return err
	}
	if err := r.back(ctx, healed); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := time.Since(healed)
	t := r.tally[k]
	t.done++
	if effective {
		t.effective++
	}
	t.worst, t.sum = max(t.worst, took), t.sum+took
	if r.verbose {
		fmt.Printf("%6.1f s  %v: %s: effective %v, back after %v\n", time.Since(r.begin).Seconds(), k, what, effective, took.Round(time.Millisecond))
	}
	if took > longestBack {
		return fmt.Errorf("%s: service was back %v after the heal; %v is the most", what, took.Round(time.Millisecond), longestBack)
	}
	return nil
}

func (r *run) leader(ctx context.Context) (ensemble.ID, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("no leader that two members agree on for 10 s"))
	defer cancel()
	return r.cluster.leader(ctx)
}

// back waits until every member has acknowledged a write that was begun after the heal.
func (r *run) back(ctx context.Context, healed time.Time) error {
	open := []ensemble.ID{1, 2, 3}
	for len(open) > 0 && ctx.Err() == nil {
		open = slices.DeleteFunc(open, func(id ensemble.ID) bool { return r.probe(id) })
		for _, id := range open {
			select {
			case <-r.cluster.process(id).ended:
				return fmt.Errorf("after the heal the process of member %d has ended by itself: %v", id, r.cluster.process(id).cmd.ProcessState)
			default:
			}
		}
		if time.Since(healed) > 30*time.Second {
			return fmt.Errorf("30 s after the heal members %v do not acknowledge writes", open)
		}
	}
	return context.Cause(ctx)
}

// probe writes through a member, and reports whether it was acknowledged.
func (r *run) probe(id ensemble.ID) bool {
	k, err := dialControl(r.cluster.process(id).control)
	if err != nil {
		return false
	}
	defer k.c.Close()
	r.probes++
	o, _ := r.history.call(k, -1, id, 100*time.Millisecond, part{Verb: verbSet, Path: "/probe", Tag: fmt.Sprintf("probe-%d", r.probes), Version: -1})
	return o.Outcome == done
}

// fillDisk fills the disk of the last member, and has the others write until that member gives up. It reports whether it did.
func (r *run) fillDisk(ctx context.Context) (bool, error) {
	if err := r.disk.fill(); err != nil {
		return false, err
	}
	defer r.disk.free()
	ended := r.cluster.process(size).ended
	k, err := dialControl(r.cluster.process(1).control)
	if err != nil {
		return false, err
	}
	defer k.c.Close()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		select {
		case <-ended:
			return true, nil
		default:
		}
		r.probes++
		if _, ok := r.history.call(k, -1, 1, callTimeout, part{Verb: verbSet, Path: "/fill", Tag: fmt.Sprintf("fill-%d", r.probes), Size: 64 << 10, Version: -1}); !ok {
			return false, nil
		}
	}
	return false, nil
}

// report tells what the faults did.
func (r *run) report() {
	for k := range kinds {
		if t := r.tally[k]; t.done > 0 {
			fmt.Printf("%-22s %3d, with an effect %3d; service back after %v on average, %v at worst\n", k, t.done, t.effective,
				(t.sum / time.Duration(t.done)).Round(time.Millisecond), t.worst.Round(time.Millisecond))
		}
	}
}

// enough demands of each kind that it had an effect often enough.
func (r *run) enough() error {
	var errs []error
	for k := range kinds {
		if n := min(leastFaults, r.planned(k)); r.tally[k].effective < n {
			errs = append(errs, fmt.Errorf("%v: %d had an effect; %d are the least", k, r.tally[k].effective, n))
		}
	}
	return errors.Join(errs...)
}
