// Quickstart runs an ensemble of three members in this process, over a network in memory, and takes its leader away in the middle of a stream of
// writes.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -replay datatree/testdata/golden/basic-2001.jsonl.gz
//
// With -replay it runs a program that was recorded from Apache ZooKeeper instead, across a change of leader, and compares every result.
// The last line begins with OK, and the exit status is 0; or it says what failed, and the status is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

func main() {
	replay := flag.String("replay", "", "run the recorded trace in this `file`")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := &cluster{net: transport.NewMemory(), nodes: map[ensemble.ID]*ensemble.Node{}}
	defer c.close()
	var summary string
	var err error
	if *replay != "" {
		summary, err = c.replay(ctx, *replay)
	} else {
		summary, err = c.show(ctx)
	}
	if err != nil {
		fmt.Println("FAILED:", err)
		c.close()
		os.Exit(1)
	}
	fmt.Println("OK", summary)
}

// cluster is three members, some of which may be closed.
type cluster struct {
	net   *transport.Memory
	nodes map[ensemble.ID]*ensemble.Node
}

var members = []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}

func (c *cluster) open(ctx context.Context, id ensemble.ID) error {
	n, err := ensemble.Open(ctx, ensemble.Config{ID: id, Members: members, Transport: c.net.Peer(id)})
	if err != nil {
		return fmt.Errorf("open member %d: %w", id, err)
	}
	c.nodes[id] = n
	return nil
}

func (c *cluster) openAll(ctx context.Context) error {
	for _, m := range members {
		if err := c.open(ctx, m.ID); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := c.nodes[m.ID].Ready(ctx); err != nil {
			return fmt.Errorf("member %d: %w", m.ID, err)
		}
	}
	return nil
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		n.Close()
	}
}

// leader waits until one of the running members leads.
func (c *cluster) leader(ctx context.Context) (ensemble.ID, error) {
	for _, m := range members {
		n := c.nodes[m.ID]
		select {
		case <-n.Done():
			continue
		default:
		}
		for s := range n.StatusChanges(ctx) {
			if s.Ready && s.Leader != 0 {
				select {
				case <-c.nodes[s.Leader].Done():
				default:
					return s.Leader, nil
				}
			}
		}
		return 0, fmt.Errorf("no leader: %w", ctx.Err())
	}
	return 0, errors.New("nobody runs")
}

// agree brings all members to the same state and compares their digests.
func (c *cluster) agree(ctx context.Context) error {
	var last ensemble.Zxid
	for _, m := range members {
		z, err := c.nodes[m.ID].Sync(ctx)
		if err != nil {
			return fmt.Errorf("sync on member %d: %w", m.ID, err)
		}
		last = max(last, z)
	}
	var digest uint64
	for _, m := range members {
		n := c.nodes[m.ID]
		if err := n.Await(ctx, last); err != nil {
			return fmt.Errorf("member %d does not reach %v: %w", m.ID, last, err)
		}
		v := n.View()
		fmt.Printf("  member %d: %4d znodes at zxid %v, digest %016x\n", m.ID, v.Len(), v.Zxid(), v.Digest())
		if m.ID == members[0].ID {
			digest = v.Digest()
		} else if v.Digest() != digest {
			return errors.New("the members do not agree")
		}
	}
	return nil
}

const writers, each = 8, 250

func (c *cluster) show(ctx context.Context) (string, error) {
	begin := time.Now()
	fmt.Println("1. Three members start, and elect a leader.")
	if err := c.openAll(ctx); err != nil {
		return "", err
	}
	first, err := c.leader(ctx)
	if err != nil {
		return "", err
	}
	fmt.Printf("  after %v member %d leads, in epoch %d\n", round(time.Since(begin)), first, c.nodes[first].Status().Epoch)

	fmt.Println("2. What is written on one member is read on another.")
	a, b := first%3+1, (first+1)%3+1
	if _, err := c.nodes[a].Create(ctx, "/greeting", []byte("hello"), ensemble.Persistent); err != nil {
		return "", err
	}
	if _, err := c.nodes[b].Sync(ctx); err != nil {
		return "", err
	}
	z, err := c.nodes[b].Get(ctx, "/greeting")
	if err != nil || string(z.Data) != "hello" {
		return "", fmt.Errorf("member %d reads %q, %w", b, z.Data, err)
	}
	fmt.Printf("  member %d created /greeting, member %d reads %q, made by transaction %v\n", a, b, z.Data, z.Stat.Czxid)

	fmt.Printf("3. %d writers create %d numbered znodes on members %d and %d, and in the middle of it the leader, member %d, is killed.\n", writers, writers*each, a, b, first)
	if _, err := c.nodes[a].Create(ctx, "/jobs", nil, ensemble.Persistent); err != nil {
		return "", err
	}
	acked, gap, err := c.stream(ctx, first, []ensemble.ID{a, b})
	if err != nil {
		return "", err
	}
	second, err := c.leader(ctx)
	if err != nil {
		return "", err
	}
	fmt.Printf("  member %d leads now, in epoch %d; the longest time without an acknowledged write was %v; no writer saw an error\n", second, c.nodes[second].Status().Epoch, round(gap))

	fmt.Println("4. Every acknowledged write is there, exactly once.")
	if _, err := c.nodes[a].Sync(ctx); err != nil {
		return "", err
	}
	if err := check(c.nodes[a].View(), acked); err != nil {
		return "", err
	}
	fmt.Printf("  %d writes acknowledged, %d znodes found, each with the number that its writer gave it\n", len(acked), len(acked))

	fmt.Printf("5. Member %d comes back. It has forgotten everything, so it catches up before it counts again.\n", first)
	back := time.Now()
	if err := c.open(ctx, first); err != nil {
		return "", err
	}
	if err := c.nodes[first].Ready(ctx); err != nil {
		return "", err
	}
	fmt.Printf("  it serves again after %v\n", round(time.Since(back)))
	if err := c.agree(ctx); err != nil {
		return "", err
	}
	if err := check(c.nodes[first].View(), acked); err != nil {
		return "", fmt.Errorf("member %d: %w", first, err)
	}
	return fmt.Sprintf("- one leader lost, %d of %d acknowledged writes kept, three members agree (%v in all)", len(acked), writers*each, round(time.Since(begin))), nil
}

// stream writes on the members at, kills the leader when half of it is done, and returns what was acknowledged, as number by path, and the
// longest time between two acknowledgements.
func (c *cluster) stream(ctx context.Context, leader ensemble.ID, at []ensemble.ID) (map[string]string, time.Duration, error) {
	type ack struct {
		path, number string
		err          error
		when         time.Time
	}
	acks := make(chan ack, writers*each)
	var group sync.WaitGroup
	for w := range writers {
		n := c.nodes[at[w%len(at)]]
		group.Go(func() {
			for i := range each {
				number := strconv.Itoa(w*each + i)
				path, err := n.Create(ctx, "/jobs/job-", []byte(number), ensemble.Sequential)
				acks <- ack{path, number, err, time.Now()}
				if err != nil {
					return
				}
			}
		})
	}
	go func() {
		group.Wait()
		close(acks)
	}()
	acked := map[string]string{}
	var last time.Time
	var gap time.Duration
	for a := range acks {
		if a.err != nil {
			return nil, 0, fmt.Errorf("write %s: %w", a.number, a.err)
		}
		if _, twice := acked[a.path]; twice {
			return nil, 0, fmt.Errorf("%s was given to two writers", a.path)
		}
		acked[a.path] = a.number
		if !last.IsZero() {
			gap = max(gap, a.when.Sub(last))
		}
		last = a.when
		if len(acked) == writers*each/2 {
			c.nodes[leader].Close()
			fmt.Printf("  member %d is gone after %d writes\n", leader, len(acked))
		}
	}
	return acked, gap, nil
}

// check holds the jobs in v against what was acknowledged.
func check(v *ensemble.View, acked map[string]string) error {
	found := 0
	numbers := map[string]bool{}
	for z := range v.Children("/jobs") {
		found++
		number := string(z.Data)
		if numbers[number] {
			return fmt.Errorf("write %s took effect twice", number)
		}
		numbers[number] = true
		if acked[z.Path] != number {
			return fmt.Errorf("%s holds %s, but was acknowledged for %q", z.Path, number, acked[z.Path])
		}
	}
	if found != len(acked) {
		return fmt.Errorf("%d writes were acknowledged, %d znodes are there", len(acked), found)
	}
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
