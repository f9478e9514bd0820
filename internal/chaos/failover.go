package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// system is three processes on this machine that keep writes in order.
type system interface {
	// start starts what is not running, and returns when all serve, with the one that leads.
	start(ctx context.Context) (leader int, err error)
	// write writes through one of them, and returns when that is acknowledged.
	write(ctx context.Context, through int) error
	// kill kills one with SIGKILL.
	kill(which int) error
	stop()
}

// failover measures how long there is no service when the process of the leader is killed: until a client of another member has the answer to a write that was begun after the kill.
func failover(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("failover", flag.ContinueOnError)
	kills := flags.Int("kills", 20, "how often")
	keep := flags.Bool("keep", false, "keep logs and data, and tell when each kill was")
	only := flags.String("only", "", "systems with this in their names")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ensemble-failover-")
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d processors, %s\n", runtime.Version(), runtime.NumCPU(), time.Now().Format("2006-01-02 15:04"))
	systems := []struct {
		name string
		make func() (system, error)
	}{
		{"Ensemble", func() (system, error) { return &ours{dir: dir}, nil }},
		{"ZooKeeper", func() (system, error) { return newZookeeper(dir) }},
		{"hashicorp/raft", func() (system, error) { return newRaft(dir) }},
	}
	for _, x := range systems {
		if !strings.Contains(x.name, *only) {
			continue
		}
		s, err := x.make()
		if err != nil {
			fmt.Printf("SKIPPED: %s: %v\n", x.name, err)
			continue
		}
		if err := measure(ctx, x.name, s, *kills, *keep); err != nil {
			return fmt.Errorf("%s: %w\nlogs and data are in %s", x.name, err, dir)
		}
	}
	if *keep {
		fmt.Printf("logs and data are in %s\n", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

func measure(ctx context.Context, name string, s system, kills int, tell bool) error {
	defer s.stop()
	var took []time.Duration
	for range kills {
		leader, err := s.start(ctx)
		if err != nil {
			return err
		}
		other := leader%size + 1
		for range 50 { // under way, and not in the middle of something
			if err := write(ctx, s, other); err != nil {
				return err
			}
			sleep(ctx, 5*time.Millisecond)
		}
		begin := time.Now()
		if err := s.kill(leader); err != nil {
			return err
		}
		if err := write(ctx, s, other); err != nil {
			return err
		}
		took = append(took, time.Since(begin))
		if tell {
			fmt.Printf("%s: %d was killed at %s, back after %v\n", name, leader, begin.Format("15:04:05.000000"), time.Since(begin))
		}
	}
	fmt.Printf("%s: %d kills: median %v, worst %v; all: %v\n", name, kills, round(median(took)), round(slices.Max(took)), rounded(took))
	return nil
}

// write tries until it succeeds.
func write(ctx context.Context, s system, through int) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		one, done := context.WithTimeout(ctx, 20*time.Second)
		err := s.write(one, through)
		done()
		if err == nil {
			return nil
		}
		if !sleep(ctx, time.Millisecond) {
			return fmt.Errorf("no service for a minute: %w", err)
		}
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func rounded(d []time.Duration) []time.Duration {
	d = slices.Clone(d)
	for i := range d {
		d[i] = round(d[i])
	}
	return d
}

// freePorts are addresses that are free now.
func freePorts(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// ours is Ensemble with its defaults, a directory each, TLS, and no proxies.
type ours struct {
	dir     string
	cluster *cluster
	conns   map[int]*conn
}

func (s *ours) start(ctx context.Context) (int, error) {
	if s.cluster == nil {
		addrs, err := freePorts(size)
		if err != nil {
			return 0, err
		}
		if err := tcptest.WriteFiles(s.dir, everybody()...); err != nil {
			return 0, err
		}
		s.cluster, s.conns = &cluster{dir: s.dir, addrs: addrs, live: map[ensemble.ID]*process{}}, map[int]*conn{}
	}
	for id := 1; id <= size; id++ {
		if p := s.cluster.process(ensemble.ID(id)); p != nil {
			select {
			case <-p.ended:
			default:
				continue
			}
		}
		if err := s.cluster.start(ensemble.ID(id)); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	leader, err := s.cluster.leader(ctx)
	for id := ensemble.ID(1); id <= size && err == nil; id++ {
		for v := (status{}); !v.Ready && ctx.Err() == nil && err == nil; {
			v, err = s.cluster.status(id)
		}
	}
	return int(leader), err
}

func (s *ours) write(_ context.Context, through int) error {
	k := s.conns[through]
	if k == nil {
		var err error
		if k, err = dialControl(s.cluster.process(ensemble.ID(through)).control); err != nil {
			return err
		}
		s.conns[through] = k
	}
	p := part{Verb: verbSet, Path: "/w", Tag: "w", Version: -1}
	a, err := k.call(request{Parts: []part{p}, Timeout: 10 * time.Second})
	if err == nil && a.Outcome == refused && a.Code == codeNoNode {
		p.Verb = verbCreate
		a, err = k.call(request{Parts: []part{p}, Timeout: 10 * time.Second})
	}
	if err != nil {
		delete(s.conns, through)
		k.c.Close()
		return err
	}
	if a.Outcome != done {
		return fmt.Errorf("%s", a.Error)
	}
	return nil
}

func (s *ours) kill(which int) error {
	if k := s.conns[which]; k != nil {
		k.c.Close()
		delete(s.conns, which)
	}
	if !s.cluster.kill(ensemble.ID(which)) {
		return fmt.Errorf("member %d had ended before", which)
	}
	return nil
}

func (s *ours) stop() {
	if s.cluster != nil {
		s.cluster.stop()
	}
}
