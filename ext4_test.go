//go:build ext4 && linux

package ensemble_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/ext4"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// A process with three members, each on a file system of its own, is killed with SIGKILL while it writes, at a random moment at which the file systems of
// two members, or of all, lose their power. The next process finds on each member everything that the former ones had told as acknowledged, and all of
// it once:
//
//	go test -tags ext4 -run TestExt4 -v .
//
// The members share a process because the network is in memory; each disk fails for itself.
func TestExt4PowerLoss(t *testing.T) {
	if dirs := os.Getenv("ENSEMBLE_EXT4_DIRS"); dirs != "" {
		if err := victim(strings.Split(dirs, ":"), os.Getenv("ENSEMBLE_EXT4_KNOWN")); err != nil {
			fmt.Fprintln(os.NewFile(3, "told"), "failed", err)
		}
		return
	}
	for dead, name := range map[int]string{2: "two of three", 3: "all"} {
		t.Run(name, func(t *testing.T) { powerLosses(t, 20, dead) })
	}
}

// known is what processes told before they were killed.
type known struct {
	Created map[string]string // path to value
	Sets    map[string]int    // how often a writer's counter was set, at least
}

func powerLosses(t *testing.T, rounds, dead int) {
	r := rand.New(rand.NewPCG(uint64(dead), 20))
	var disks []*ext4.Disk
	var dirs []string
	for range 3 {
		d := ext4.New(t, 128<<20)
		disks, dirs = append(disks, d), append(dirs, filepath.Join(d.Mount, "data"))
	}
	k := known{map[string]string{}, map[string]int{}}
	file := filepath.Join(t.TempDir(), "known")
	var last string
	for round := range rounds + 1 {
		b, err := json.Marshal(k)
		must[int](t)(len(b), err)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, dirs, file)
		if last = p.await(t, 0); round == rounds {
			p.kill()
			break
		}
		victims := r.Perm(3)[:dead]
		for i, v := range victims {
			if i == 0 {
				p.await(t, 1+r.IntN(600))
			} else if i < dead-1 || dead == 2 { // as long as there is a quorum, the others go on
				p.await(t, p.count()+r.IntN(2)*r.IntN(40))
			}
			disks[v].PowerLoss(ext4.NoLogFlush)
		}
		p.kill()
		for path, value := range p.created {
			k.Created[path] = value
		}
		for w, n := range p.sets {
			k.Sets[w] = max(k.Sets[w], n)
		}
		t.Logf("round %d: %s; %d more acknowledged; members %v lost power", round, last, p.count(), victims)
		for _, v := range victims {
			disks[v].Remount()
		}
	}
	t.Logf("%d power losses of %d members: %d creates and %d counters acknowledged, 0 lost, 0 doubled; at last %s", rounds, dead, len(k.Created), len(k.Sets), last)
	if len(k.Created) < 50*rounds {
		t.Errorf("only %d writes were acknowledged", len(k.Created))
	}
}

// process is a victim, as seen from outside.
type process struct {
	cmd  *exec.Cmd
	in   io.Closer
	told chan string // lines that are no acknowledgement
	more chan struct{}
	end  chan struct{}

	mu      sync.Mutex
	created map[string]string
	sets    map[string]int
	n       int
}

func start(t *testing.T, dirs []string, file string) *process {
	t.Helper()
	p := &process{told: make(chan string, 10), more: make(chan struct{}, 1), end: make(chan struct{}), created: map[string]string{}, sets: map[string]int{}}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExt4PowerLoss$")
	p.cmd.Env = append(os.Environ(), "ENSEMBLE_EXT4_DIRS="+strings.Join(dirs, ":"), "ENSEMBLE_EXT4_KNOWN="+file)
	in, err := p.cmd.StdinPipe() // it ends with us
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.cmd.ExtraFiles = in, []*os.File{w}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(p.end)
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			p.line(s.Text())
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// line takes what was told. A line that was cut short by the end of the process was told all the same, but what of is not known.
func (p *process) line(line string) {
	f := strings.Fields(line)
	p.mu.Lock()
	switch {
	case len(f) == 4 && f[0] == "created" && f[3] == ".":
		p.created[f[1]] = f[2]
		p.n++
	case len(f) == 4 && f[0] == "set" && f[3] == ".":
		n, _ := strconv.Atoi(f[2])
		p.sets[f[1]] = n
		p.n++
	default:
		p.told <- line
	}
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *process) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// await waits until n writes were acknowledged; for 0, until the process has checked what is there, and returns what it says.
func (p *process) await(t *testing.T, n int) string {
	t.Helper()
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for n == 0 || p.count() < n {
		select {
		case line := <-p.told:
			if strings.HasPrefix(line, "checked") && n == 0 {
				return line
			}
			t.Fatal(line)
		case <-p.more:
		case <-p.end:
			t.Fatal("the process has ended: ", p.cmd.Wait())
		case <-limit.C:
			t.Fatalf("nothing happens: %d writes, and waiting for %d", p.count(), n)
		}
	}
	return ""
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	<-p.end
	p.in.Close()
}

// victim is the process that will be killed: it checks, writes, and tells each write as soon as it is acknowledged.
func victim(dirs []string, file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // nobody is there any more
	}()
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var k known
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	net := transport.NewMemory()
	members := []ensemble.Member{{ID: 1}, {ID: 2}, {ID: 3}}
	var nodes []*ensemble.Node
	for i, m := range members {
		// Segments and snapshots are so small that each round sees some begin and some go.
		n, err := ensemble.Open(disk.With(ctx, disk.Disk{FS: vfs.OS(), SegmentSize: 128 << 10}), ensemble.Config{
			ID: m.ID, Members: members, Transport: net.Peer(m.ID), Dir: dirs[i], SnapshotBytes: 100 << 10, SnapshotsKept: 2})
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			return fmt.Errorf("member %d is not ready: %w", n.Status().ID, err)
		}
		if err := k.check(ctx, n); err != nil {
			return fmt.Errorf("member %d: %w", n.Status().ID, err)
		}
	}
	told := os.NewFile(3, "told") // no buffer in between: what was written can be read, even after SIGKILL
	s := nodes[0].Status()
	fmt.Fprintf(told, "checked %d znodes and %d counters on each member, in epoch %d with snapshot %v\n", len(k.Created), len(k.Sets), s.Epoch, s.Snapshot)
	if _, ok, err := nodes[0].Exists(ctx, "/all"); err != nil {
		return err
	} else if !ok {
		if _, err := nodes[0].Multi(ctx, ensemble.CreateOp{Path: "/all"}, ensemble.CreateOp{Path: "/sets"}); err != nil {
			return err
		}
	}
	counter := func(w int) string { return fmt.Sprintf("/sets/%d", w) }
	for w := range 6 {
		if _, ok, err := nodes[0].Exists(ctx, counter(w)); err != nil {
			return err
		} else if !ok {
			if _, err := nodes[w%3].Create(ctx, counter(w), []byte("0"), 0); err != nil {
				return err
			}
		}
	}
	for w := range 6 { // from the first of their acknowledgements on, any member can lose its power
		go write(nodes[w%3], counter(w), told)
	}
	select {}
}

// write goes on until its node fails.
func write(n *ensemble.Node, counter string, told io.Writer) {
	ctx := context.Background()
	z, err := n.Get(ctx, counter)
	if err != nil {
		return
	}
	sets, _ := strconv.Atoi(string(z.Data))
	pad := strings.Repeat("-", 300)
	for i := 0; ; i++ {
		var pending []*ensemble.Pending
		var values []string
		for j := range 8 {
			values = append(values, fmt.Sprintf("%d:%s:%d:%d%s", os.Getpid(), counter, i, j, pad))
			pending = append(pending, n.Submit(ensemble.CreateOp{Path: "/all/", Data: []byte(values[j]), Mode: ensemble.Sequential}))
		}
		sets++
		set := n.Submit(ensemble.SetOp{Path: counter, Data: []byte(strconv.Itoa(sets))})
		for j, p := range pending {
			r, err := p.Wait(ctx)
			if err != nil {
				return
			}
			fmt.Fprintf(told, "created %s %s .\n", r.Path, values[j])
		}
		if _, err := set.Wait(ctx); err != nil {
			return
		}
		fmt.Fprintf(told, "set %s %d .\n", counter, sets)
	}
}

// check looks for all that is known.
func (k *known) check(ctx context.Context, n *ensemble.Node) error {
	if _, err := n.Sync(ctx); err != nil {
		return err
	}
	view := n.View()
	defer view.Release()
	paths := map[string]string{} // by value
	for z := range view.Children("/all") {
		if former, twice := paths[string(z.Data)]; twice {
			return fmt.Errorf("%.40s was written twice: %s and %s", z.Data, former, z.Path)
		}
		paths[string(z.Data)] = z.Path
	}
	lost := 0
	var one string
	for path, value := range k.Created {
		if paths[value] != path {
			lost++
			one = fmt.Sprintf("%s with %.40s, which stands at %q", path, value, paths[value])
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged znodes are lost, among them %s", lost, len(k.Created), one)
	}
	for counter, sets := range k.Sets {
		z, err := n.Get(ctx, counter)
		if err != nil {
			return fmt.Errorf("%s: %w", counter, err)
		}
		// The n-th set writes n: then it was the n-th, and each took effect once.
		if now, err := strconv.Atoi(string(z.Data)); err != nil || now < sets || z.Stat.Version != ensemble.VersionOf(int32(now)) {
			return fmt.Errorf("%s holds %q in version %v, and %d were acknowledged", counter, z.Data, z.Stat.Version, sets)
		}
	}
	return nil
}
