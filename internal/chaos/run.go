package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	r.history = &history{begin: time.Now()}
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
	rate := float64(acked) / took.Seconds()
	fmt.Printf("%d acknowledged writes in %.0f s: %.0f a second; %d operations in all\n", acked, took.Seconds(), rate, len(r.history.ops))
	r.report()
	kept()
	for range size - 1 {
		if err := <-keepers; err != nil {
			return err
		}
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if rate < leastRate {
		return invalid{fmt.Errorf("%.0f acknowledged writes a second; %d are the least", rate, leastRate)}
	}
	if err := r.enough(); err != nil {
		return err
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
	paths := []string{"/k", "/s", "/fill", "/probe"}
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
func (r *run) check(ctx context.Context) error {
	last, digest, err := r.same(ctx)
	if err != nil {
		return err
	}
	if err := r.cluster.stop(); err != nil {
		return err
	}
	logs := map[ensemble.ID]map[ensemble.Zxid]zab.Entry{}
	for id := ensemble.ID(1); id <= size; id++ {
		if logs[id], err = readLog(r.cluster.dataDir(id)); err != nil {
			return fmt.Errorf("the log of member %d: %w", id, err)
		}
	}
	entries, err := merge(logs, last)
	if err != nil {
		return err
	}
	log, err := decode(entries)
	if err != nil {
		return err
	}
	if log.Digest != digest {
		return fmt.Errorf("the log leads to a tree with digest %x; the members have %x", log.Digest, digest)
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
	fate, err := judge(r.history.ops, log)
	if err != nil {
		return err
	}
	fmt.Printf("log: %d entries; %d writes acknowledged, %d refused, %d not handed over, %d of unknown outcome, of which the log has %d; %d reads\n",
		log.Entries, count[done], count[refused], count[nothing], count[unknown], len(fate), reads)
	begin := time.Now()
	n, err := linearizable(r.history.ops, fate, r.checkLimit)
	if err != nil {
		return err
	}
	fmt.Printf("porcupine: %d operations on keys are linearizable, found in %.1f s\n", n, time.Since(begin).Seconds())
	return nil
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
