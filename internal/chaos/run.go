package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
	"github.com/ensemble-go/ensemble/zab"
)

// run is one run of the harness.
type run struct {
	seed       uint64
	dir        string
	verbose    bool
	duration   time.Duration
	checkLimit time.Duration
	mutant     string
	begin      time.Time

	cluster *cluster
	net     *network
	history *history
	rng     *rand.Rand // of the present fault
	disk    *smallDisk // nil: there is none
	tally   map[kind]*tally
	probes  int
}

func (r *run) run(ctx context.Context) (err error) {
	r.history = &history{begin: monotonic()}
	r.tally = map[kind]*tally{}
	for k := range kinds {
		r.tally[kind(k)] = &tally{}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := tcptest.WriteFiles(r.dir, everybody()...); err != nil {
		return err
	}
	if r.net, err = newNetwork(ctx, size); err != nil {
		return err
	}
	defer r.net.close()
	r.cluster = &cluster{dir: r.dir, net: r.net, live: map[ensemble.ID]*process{}, flags: map[ensemble.ID][]string{}}
	for id := ensemble.ID(1); id <= size; id++ {
		r.cluster.flags[id] = []string{"-snapshot-bytes", fmt.Sprint(8 << 20), "-mutant", r.mutant}
	}
	var why error
	if r.disk, why = newSmallDisk(r.cluster.dataDir(size)); why != nil {
		fmt.Printf("SKIPPED: full disks: %v\n", why)
	} else {
		defer func() { err = errors.Join(err, r.disk.unmount()) }()
		r.cluster.flags[size] = []string{"-snapshot-bytes", fmt.Sprint(4 << 20), "-snapshots-kept", "2", "-mutant", r.mutant}
	}
	defer r.cluster.stop()
	keeping, kept := context.WithCancel(ctx)
	defer kept()
	keepers := make(chan error, size)
	for id := ensemble.ID(1); id < size; id++ { // the log of the last is on another disk, and the others have all of it
		go func() { keepers <- keepLogs(keeping, r.cluster.dataDir(id)) }()
	}
	if err := r.cluster.startAll([]ensemble.ID{1, 2, 3}); err != nil {
		return err
	}
	if err := r.setUp(ctx); err != nil {
		return err
	}
	begin, before := time.Now(), r.history.acknowledged()
	working, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	for i := range sessionClients {
		c := r.newSessionClient(i)
		clients.Go(func() { c.loop(working) })
	}
	for i := range clientsCount {
		c := &client{run: r, number: i, member: ensemble.ID(1 + i%size), rng: rand.New(rand.NewPCG(r.seed, uint64(1+i))), versions: map[string]int32{}}
		clients.Go(func() { c.loop(working) })
	}
	err = r.torment(ctx)
	stop()
	clients.Wait()
	took, acked := time.Since(begin), r.history.acknowledged()-before
	if err != nil {
		return err
	}
	if err := r.back(ctx, time.Now()); err != nil { // and so what clients have left open is decided, too
		return err
	}
	rate := float64(acked) / took.Seconds()
	fmt.Printf("%d acknowledged writes in %.0f s: %.0f a second; %d operations in all\n", acked, took.Seconds(), rate, len(r.history.ops))
	r.report()
	kept()
	for range size - 1 {
		if err := <-keepers; err != nil {
			return err
		}
	}
	seen, err := r.check(ctx)
	if err != nil {
		return err
	}
	if rate < leastRate {
		return invalid{fmt.Errorf("%.0f acknowledged writes a second; %d are the least", rate, leastRate)}
	}
	if err := errors.Join(r.enough(), seen.enough()); err != nil {
		return invalid{err}
	}
	fmt.Printf("OK seed %d: nothing lost, doubled, stale or refused in vain; %.0f s in all\n", r.seed, time.Since(r.begin).Seconds())
	return nil
}

// setUp makes the parents of the keys.
func (r *run) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	leader, err := r.cluster.leader(ctx)
	if err != nil {
		return fmt.Errorf("no leader: %w", err)
	}
	k, err := dialControl(r.cluster.process(leader).control)
	if err != nil {
		return err
	}
	defer k.c.Close()
	paths := []string{"/k", "/s", "/c", "/e", "/fill", "/probe"}
	for i := range keysCount {
		paths = append(paths, fmt.Sprintf("/s/%d", i))
	}
	for i, path := range paths {
		if o, _ := r.history.call(k, -1, leader, 10*time.Second, part{Verb: verbCreate, Path: path, Tag: fmt.Sprintf("setup-%d", i)}); o.Outcome != done {
			return fmt.Errorf("create %s: %s", path, o.Error)
		}
	}
	return nil
}

// check stops everything and judges the run.
func (r *run) check(ctx context.Context) (seen evidence, err error) {
	last, digest, err := r.same(ctx)
	if err != nil {
		return seen, err
	}
	r.history.until = monotonic()
	final, err := r.counters()
	if err != nil {
		return seen, err
	}
	r.history.note(func(l *lives) {
		r.cluster.mu.Lock()
		defer r.cluster.mu.Unlock()
		l.ends = slices.Clone(r.cluster.ends)
	})
	if err := r.cluster.stop(); err != nil {
		return seen, err
	}
	for id := ensemble.ID(1); id <= size; id++ {
		list, err := readEvents(r.dir, id)
		if err != nil {
			return seen, err
		}
		r.history.events = append(r.history.events, list...)
	}
	logs := map[ensemble.ID]map[ensemble.Zxid]zab.Entry{}
	for id := ensemble.ID(1); id <= size; id++ {
		if logs[id], err = readLog(r.cluster.dataDir(id)); err != nil {
			return seen, fmt.Errorf("the log of member %d: %w", id, err)
		}
	}
	entries, err := merge(logs, last)
	if err != nil {
		return seen, err
	}
	log, err := decode(entries)
	if err != nil {
		return seen, err
	}
	if log.Digest != digest {
		return seen, fmt.Errorf("the log leads to a tree with digest %x; the members have %x", log.Digest, digest)
	}
	count := map[outcome]int{}
	reads := 0
	for _, o := range r.history.ops {
		if o.read() {
			reads++
		} else {
			count[o.Outcome]++
		}
	}
	fate, seen, err := judge(r.history, log, final)
	if err != nil {
		return seen, err
	}
	fmt.Printf("log: %d entries; %d writes acknowledged, %d refused, %d not handed over, %d of unknown outcome, of which the log has %d; %d reads\n",
		log.Entries, count[done], count[refused], count[nothing], count[unknown], len(fate), reads)
	fmt.Println(seen)
	begin := time.Now()
	n, err := linearizable(r.history.ops, fate, r.checkLimit)
	if err != nil {
		return seen, err
	}
	fmt.Printf("porcupine: %d operations on keys are linearizable, found in %.1f s\n", n, time.Since(begin).Seconds())
	return seen, nil
}

// counters reads all counters, at all members.
func (r *run) counters() (final map[string][]int, err error) {
	final = map[string][]int{}
	for _, o := range r.history.ops {
		if isCounter(o.Parts[0].Path) {
			final[o.Parts[0].Path] = nil
		}
	}
	for id := ensemble.ID(1); id <= size; id++ {
		k, err := dialControl(r.cluster.process(id).control)
		if err != nil {
			return nil, err
		}
		defer k.c.Close()
		for path := range final {
			o, _ := r.history.call(k, -1, id, 10*time.Second, part{Verb: verbGet, Path: path})
			if o.Outcome != done {
				return nil, fmt.Errorf("the counter %s cannot be read at member %d: %s", path, id, o.Error)
			}
			n := 0
			if o.Results[0].Exists {
				n = countOf(o.Results[0].Tag)
			}
			final[path] = append(final[path], n)
		}
	}
	return final, nil
}

// same waits until all members have the same state, and returns it.
func (r *run) same(ctx context.Context) (ensemble.Zxid, uint64, error) {
	var seen map[ensemble.ID]status
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		seen = map[ensemble.ID]status{}
		alike := true
		for id := ensemble.ID(1); id <= size; id++ {
			s, err := r.cluster.status(id)
			if err != nil {
				return 0, 0, err
			}
			seen[id] = s
			alike = alike && s.Applied == seen[1].Applied
		}
		if alike {
			for id, s := range seen {
				if s.Digest != seen[1].Digest {
					return 0, 0, fmt.Errorf("at %v member %d has a tree with digest %x, member 1 one with %x", s.Applied, id, s.Digest, seen[1].Digest)
				}
			}
			return seen[1].Applied, seen[1].Digest, nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			break
		}
	}
	return 0, 0, fmt.Errorf("10 s after the last fault the members are not at the same zxid: %+v", seen)
}

// smallDisk is a file system in memory, with room for one member.
type smallDisk struct{ dir string }

const smallDiskBytes = 160 << 20

func (d *smallDisk) filler() string { return filepath.Join(filepath.Dir(d.dir), "filler") }

// fill takes all the room that is left; free gives it back.
func (d *smallDisk) fill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	for {
		if _, err := f.Write(b); err != nil {
			if len(b) == 1 {
				return nil
			}
			b = b[:len(b)/2]
		}
	}
}

func (d *smallDisk) free() error { return os.Remove(d.filler()) }
