// Durable runs an ensemble of three members with a data directory each, DIR/1 to DIR/3, over a network in memory. It writes for three seconds and
// prints what was acknowledged. Kill the process (it prints its number) at any time, with kill -9 if you like, and run it again: it first checks that
// everything the former runs printed is there.
//
//	go run ./examples/durable DIR
//
// Without DIR it uses a temporary directory, and checks after a restart of its own. What was acknowledged is recorded in DIR/acknowledged, and
// synced, before it is printed. The last line begins with OK, and the exit status is 0; or it says what failed, and the status is 1.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

const writing = 3 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	summary, err := show(ctx, os.Args[1:])
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("OK", summary)
}

func show(ctx context.Context, args []string) (string, error) {
	if len(args) > 1 {
		return "", fmt.Errorf("usage: durable [DIR]")
	}
	if len(args) == 1 {
		return run(ctx, args[0], writing)
	}
	dir, err := os.MkdirTemp("", "ensemble-durable-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if _, err := run(ctx, dir, writing); err != nil {
		return "", err
	}
	return run(ctx, dir, 0)
}

// run opens the members, checks what was recorded, writes for a while and stops them.
func run(ctx context.Context, dir string, d time.Duration) (summary string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	rec, former, err := openRecord(filepath.Join(dir, "acknowledged"))
	if err != nil {
		return "", err
	}
	defer rec.Close()
	fmt.Printf("process %d\n", os.Getpid())
	begin := time.Now()
	nodes, err := open(ctx, dir)
	defer func() {
		for _, n := range nodes {
			n.Close()
		}
	}()
	if err != nil {
		return "", err
	}
	fmt.Printf("three members on %s are ready after %v\n", dir, time.Since(begin).Round(time.Millisecond))
	for _, n := range nodes {
		s := n.Status()
		fmt.Printf("member %d: %v, epoch %d, snapshot %v, applied %v, %d znodes\n", s.ID, s.Role, s.Epoch, s.Snapshot, s.Applied, s.Znodes)
	}
	found, err := check(ctx, nodes, former)
	if err != nil {
		return "", err
	}
	fmt.Println(found)
	if d == 0 {
		return found, nil
	}
	n, err := write(ctx, nodes, rec, d)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; wrote %d more in %v", found, n, d), nil
}

func open(ctx context.Context, dir string) ([]*ensemble.Node, error) {
	net := transport.NewMemory()
	members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	var nodes []*ensemble.Node
	for _, m := range members {
		n, err := ensemble.Open(ctx, ensemble.Config{
			ID: m.ID, Members: members, Transport: net.Peer(m.ID),
			Dir: filepath.Join(dir, fmt.Sprint(m.ID)), SnapshotBytes: 1 << 20, // so small that there is something to see
		})
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			return nodes, fmt.Errorf("member %d is not ready: %w", n.Status().ID, err)
		}
	}
	return nodes, nil
}

// check looks for everything that was acknowledged, on each member.
func check(ctx context.Context, nodes []*ensemble.Node, former map[string]string) (string, error) {
	for _, n := range nodes {
		id := n.Status().ID
		if _, err := n.Sync(ctx); err != nil {
			return "", fmt.Errorf("sync of member %d: %w", id, err)
		}
		missing := 0
		var one error
		for path, data := range former {
			z, err := n.Get(ctx, path)
			if err == nil && string(z.Data) != data {
				err = fmt.Errorf("%s holds %q, not %q", path, z.Data, data)
			}
			if err != nil {
				missing++
				one = err
			}
		}
		if missing > 0 {
			return "", fmt.Errorf("member %d has lost %d of %d acknowledged znodes, among them: %w", id, missing, len(former), one)
		}
	}
	if len(former) == 0 {
		return "nothing was acknowledged before", nil
	}
	view := nodes[0].View()
	defer view.Release()
	all := 0
	for z := range view.Children("/") {
		if strings.HasPrefix(z.Path, "/run-") {
			for range view.Children(z.Path) {
				all++
			}
		}
	}
	return fmt.Sprintf("all %d acknowledged znodes are on each member, and %d that were written and not recorded", len(former), all-len(former)), nil
}

// write creates znodes, and records and prints what was acknowledged.
func write(ctx context.Context, nodes []*ensemble.Node, rec *record, d time.Duration) (int, error) {
	run, err := nodes[0].Create(ctx, "/run-", nil, ensemble.Sequential)
	if err != nil {
		return 0, err
	}
	const batch = 64
	count := 0
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-pace.C {
		n := nodes[count/batch%len(nodes)]
		var pending []*ensemble.Pending
		var paths, values []string
		for i := range batch {
			paths = append(paths, fmt.Sprintf("%s/%06d", run, count+i))
			values = append(values, fmt.Sprintf("%d-%x", n.Status().ID, time.Now().UnixNano()))
			pending = append(pending, n.Submit(ensemble.CreateOp{Path: paths[i], Data: []byte(values[i])}))
		}
		for i, p := range pending {
			if _, err := p.Wait(ctx); err != nil {
				return count, fmt.Errorf("create %s: %w", paths[i], err)
			}
		}
		if err := rec.add(paths, values); err != nil {
			return count, err
		}
		fmt.Printf("acknowledged %s to %s\n", paths[0], paths[batch-1])
		count += batch
	}
	return count, nil
}
