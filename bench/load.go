package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	members   = 3
	numKeys   = 1000
	valueSize = 128
)

// system is one of those that are compared.
type system struct {
	name string
	open func(setting) (cluster, error)
}

// cluster is a running system: all its members, with a leader.
type cluster interface {
	// write stores value under the key with this number, through the leader, and returns when it is committed and applied there.
	// The value is the caller's again when write returns. It is called from many goroutines.
	write(key int, value []byte) error
	// settle waits until all members hold the same content, after the last write.
	settle() error
	close()
}

// sample is what one measurement gave.
type sample struct {
	rate     float64       // writes per second
	p50, p99 time.Duration // from the call to its answer
	allocs   float64       // heap objects per write, of the whole process
	cpu      float64       // seconds per 100 000 writes, of the whole process
	used     usage
}

// The phases of a measurement.
const (
	warming int32 = iota
	measuring
	stopping
)

// patience is how long callers may take to get their last answer, and members to catch up after that.
const patience = 20 * time.Second

// measure opens a cluster of s and lets callers write to it.
func measure(s system, in setting, callers int, warm, d time.Duration) (sample, error) {
	runtime.GC() // what the cluster before has left
	c, err := s.open(in)
	if err != nil {
		return sample{}, fmt.Errorf("%s: open: %w", s.name, err)
	}
	defer c.close()

	var (
		phase    atomic.Int32
		wg       sync.WaitGroup
		failed   = make(chan error, callers)
		finished = make(chan struct{})
		hists    = make([]histogram, callers)
	)
	for i := range callers {
		wg.Go(func() {
			if err := call(c, &phase, uint64(i)+1, &hists[i]); err != nil {
				failed <- err
			}
		})
	}
	time.Sleep(warm)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, begin := meter(), time.Now()
	phase.Store(measuring)
	time.Sleep(d)
	phase.Store(stopping)
	elapsed := time.Since(begin)
	used = meter().minus(used)
	runtime.ReadMemStats(&after)

	go func() {
		wg.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-time.After(patience):
		return sample{}, fmt.Errorf("%s: %d callers: no answer within %v", s.name, callers, patience)
	}
	select {
	case err := <-failed:
		return sample{}, fmt.Errorf("%s: %d callers: write: %w", s.name, callers, err)
	default:
	}
	if err := c.settle(); err != nil {
		return sample{}, fmt.Errorf("%s: %d callers: %w", s.name, callers, err)
	}

	var all histogram
	for i := range hists {
		all.add(&hists[i])
	}
	n := all.count()
	if n == 0 {
		return sample{}, fmt.Errorf("%s: %d callers: not a single write was answered", s.name, callers)
	}
	return sample{
		rate:   float64(n) / elapsed.Seconds(),
		p50:    all.quantile(0.50),
		p99:    all.quantile(0.99),
		allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
		cpu:    used.own / float64(n) * 1e5,
		used:   used,
	}, nil
}

// call is one caller: it writes until the phase says stop. Writes answered while measuring are counted.
func call(c cluster, phase *atomic.Int32, id uint64, h *histogram) error {
	rng := rand.New(rand.NewPCG(id, numKeys))
	value := make([]byte, valueSize)
	binary.LittleEndian.PutUint64(value, id)
	begin := time.Now()
	for n := uint64(0); ; n++ {
		binary.LittleEndian.PutUint64(value[8:], n) // no two values are the same
		if err := c.write(rng.IntN(numKeys), value); err != nil {
			return err
		}
		now := time.Now() // the end of this write and the beginning of the next
		switch phase.Load() {
		case measuring:
			h.observe(now.Sub(begin))
		case stopping:
			return nil
		}
		begin = now
	}
}

var (
	errDiffer = errors.New("members at the same transaction differ in content")
	errBehind = errors.New("a member does not hold what the leader holds, long after the last write")
)

// histogram counts durations, to about 3 %.
type histogram [36 << subBits]uint32

const subBits = 5 // sub-buckets of each power of two

func (h *histogram) observe(d time.Duration) { h[bucket(uint64(max(d, 0)))]++ }

func bucket(v uint64) int {
	exp := max(bits.Len64(v)-subBits-1, 0)
	return min(exp<<subBits+int(v>>exp), len(histogram{})-1)
}

// middle is a value in the middle of bucket i.
func middle(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	exp := i>>subBits - 1
	return time.Duration(i-exp<<subBits)<<exp + time.Duration(1)<<exp/2
}

func (h *histogram) add(o *histogram) {
	for i, n := range o {
		h[i] += n
	}
}

func (h *histogram) count() (n uint64) {
	for _, x := range h {
		n += uint64(x)
	}
	return n
}

func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.count()))
	for i, n := range h {
		if rest -= int64(n); rest < 0 {
			return middle(i)
		}
	}
	return 0
}
