package snapshot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// scenarios are stories of disks that fail, each with a sentence of what it is about; D and a number is its name in
// internal/sim/catalogue_test.go. A scenario returns what went wrong.
var scenarios = crashtest.Scenarios{
	{"D4", syncFailsOnce},
	{"D9", emptySnapshots},
	{"D10", newestDamaged},
	{"D11", crashInInstall},
	{"D12", retentionKeepsWhatIsNeeded},
	{"D18", snapshotDuringWrites},
	{"reset", nothingFromBeforeReset},
	{"received", receivedWithoutReset},
	{"ahead", aheadOfTheLog},
	{"foreign", foreignEnsemble},
	{"resume", resumedAtEveryChunk},
	{"pageCache", partsAreNotTrusted},
	{"sender", senderFails},
	{"full", diskFull},
	{"names", namesFail},
}

func TestScenario(t *testing.T) { scenarios.Test(t) }

// bench is a Store on a disk of its own. After the first error nothing happens any more.
type bench struct {
	disk *vfs.Memory
	r    *rand.Rand
	o    Options
	s    *Store
	w    *twin
	err  error
}

func newBench(seed uint64) *bench {
	b := &bench{disk: vfs.NewMemory(), r: rand.New(rand.NewPCG(seed, 7)), w: newTwin()}
	b.o = testOptions(b.disk, seed)
	b.open()
	return b
}

func (b *bench) failf(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *bench) open() {
	if b.err == nil {
		b.s, b.err = Open(b.o)
	}
}

// write installs a state and returns it with its Info.
func (b *bench) write(z zab.Zxid, sizes ...int) (*content, Info) {
	c := draw(b.r, z, sizes...)
	if b.err != nil {
		return c, Info{}
	}
	b.w.issue(c)
	var i Info
	if i, b.err = b.s.Write(context.Background(), c.meta, c.reader()); b.err == nil {
		b.w.installed(z)
	}
	return c, i
}

func (b *bench) path(i Info) string { return filepath.Join(b.o.Dir, i.File) }

func (b *bench) check() {
	if b.err == nil {
		b.err = b.w.check(b.s)
	}
}

// zxids of what is listed.
func (b *bench) zxids() (z []zab.Zxid) {
	if b.err == nil {
		for _, i := range b.s.List() {
			z = append(z, i.Zxid)
		}
	}
	return z
}

// shorten makes a file this long, for good.
func (b *bench) shorten(name string, size int64) {
	if err := crashtest.Resize(b.disk, name, size); err != nil {
		b.failf("%w", err)
	}
}

func second[T any](_ T, err error) error { return err }
