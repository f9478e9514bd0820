//go:build linux

package ensemble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

// What a million znodes of 100 bytes cost at a start, and while they are written out. The processor time of the whole process is given beside the time on
// the clock, since the latter says little on a machine that does other things.

const znodes = 1_000_000

func millionth(i int) string { return fmt.Sprintf("/p%04d/node-%07d", i/1000, i) }

// alone opens an ensemble of one with a directory, and waits until it serves. Snapshots are made on request only.
func alone(b *testing.B, dir string) *ensemble.Node {
	b.Helper()
	n, err := ensemble.Open(context.Background(), ensemble.Config{
		ID: 1, Members: []ensemble.Member{{ID: 1}}, Transport: transport.NewMemory().Peer(1), Dir: dir, SnapshotBytes: 1 << 50})
	if err == nil {
		err = n.Ready(context.Background())
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// submit carries out count ops, a thousand at a time.
func submit(b *testing.B, n *ensemble.Node, count int, op func(i int) ensemble.Op) {
	b.Helper()
	var pending []*ensemble.Pending
	for i := range count {
		pending = append(pending, n.Submit(op(i)))
		if len(pending) == 1000 || i == count-1 {
			for _, p := range pending {
				if _, err := p.Wait(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			pending = pending[:0]
		}
	}
}

// million makes the znodes, a thousand below each of their parents.
func million(b *testing.B, n *ensemble.Node) {
	b.Helper()
	data := make([]byte, 100)
	submit(b, n, znodes/1000, func(i int) ensemble.Op { return ensemble.CreateOp{Path: fmt.Sprintf("/p%04d", i)} })
	submit(b, n, znodes, func(i int) ensemble.Op { return ensemble.CreateOp{Path: millionth(i), Data: data} })
}

// processor is the time that this process has used.
func processor() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// memory returns the memory that the process has, or the most that it ever had since forget.
func memory(most bool) float64 {
	name := map[bool]string{true: "VmHWM:", false: "VmRSS:"}[most]
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, name+" %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// forget begins anew with the most memory. Where that is not allowed, it stays what it was.
func forget() {
	runtime.GC()
	os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// BenchmarkRecover opens the directory of an ensemble of one, from the page cache, until it serves: from a snapshot of the million, from one and the log of
// 100 000 writes after it, and from the log alone.
func BenchmarkRecover(b *testing.B) {
	for _, from := range []string{"snapshot", "snapshot+100k", "log"} {
		b.Run(from, func(b *testing.B) {
			dir := b.TempDir()
			n := alone(b, dir)
			million(b, n)
			if from != "log" {
				if _, err := n.Snapshot(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			if from == "snapshot+100k" {
				submit(b, n, 100_000, func(i int) ensemble.Op {
					return ensemble.SetOp{Path: millionth(i * 7919 % znodes), Data: make([]byte, 100)}
				})
			}
			if err := n.Close(); err != nil {
				b.Fatal(err)
			}
			n = nil
			forget()
			var used time.Duration
			best := time.Hour
			b.ReportAllocs()
			for b.Loop() {
				begin, cpu := time.Now(), processor()
				n := alone(b, dir)
				best = min(best, time.Since(begin))
				used += processor() - cpu
				b.StopTimer()
				if got := n.Status().Znodes; got < znodes {
					b.Fatal(got)
				}
				if err := n.Close(); err != nil {
					b.Fatal(err)
				}
				n = nil
				runtime.GC()
				b.StartTimer()
			}
			b.ReportMetric(best.Seconds(), "best-s")
			b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(memory(true), "peak-MiB")
		})
	}
}

// BenchmarkWriteDuringSnapshot has 64 callers set random ones of the million, each waiting for its own answer, at an ensemble of one with a directory: in
// turns for as long as a snapshot takes, and about as long without one.
func BenchmarkWriteDuringSnapshot(b *testing.B) {
	const callers = 64
	dir := b.TempDir()
	n := alone(b, dir)
	defer n.Close()
	million(b, n)
	forget()
	before := memory(false)
	var during atomic.Bool
	var took [callers][2][]time.Duration // without and with
	stop := make(chan struct{})
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 1))
			data := make([]byte, 100)
			for {
				select {
				case <-stop:
					return
				default:
				}
				with, begin := during.Load(), time.Now()
				if _, err := n.Set(context.Background(), millionth(r.IntN(znodes)), data, ensemble.AnyVersion); err != nil {
					b.Error(err)
					return
				}
				i := 0
				if with || during.Load() { // any part of it
					i = 1
				}
				took[c][i] = append(took[c][i], time.Since(begin))
			}
		})
	}
	var writing time.Duration
	b.ReportAllocs()
	for b.Loop() {
		<-time.After(max(time.Second, writing))
		begin := time.Now()
		during.Store(true)
		if _, err := n.Snapshot(context.Background()); err != nil {
			b.Fatal(err)
		}
		during.Store(false)
		writing = time.Since(begin)
	}
	close(stop)
	group.Wait()
	for i, name := range []string{"", "-during"} {
		var all []time.Duration
		for c := range took {
			all = append(all, took[c][i]...)
		}
		if len(all) == 0 {
			b.Fatal("no writes")
		}
		slices.Sort(all)
		b.ReportMetric(float64(len(all)), "writes"+name)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms"+name)
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms"+name)
	}
	b.ReportMetric(writing.Seconds(), "last-snapshot-s")
	b.ReportMetric(before, "MiB-before")
	b.ReportMetric(memory(true), "peak-MiB")
}
