package wal

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/internal/crashtest"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// scenarios are stories of disks that fail, each with a sentence of what it is about; D and a number is its name in
// internal/sim/catalogue_test.go. A scenario returns what went wrong.
var scenarios = crashtest.Scenarios{
	{"D1", cutEveryByte},
	{"D2", middleBitFlip},
	{"D4", syncFailsOnce},
	{"D5", diskFull},
	{"D12", retentionKeepsWhatIsNeeded},
	{"D13", emptyFiles},
	{"D14", markTornOrEmpty},
	{"D15", swappedDisks},
	{"D16", twoProcesses},
	{"D20", killThenPowerLoss},
	{"missing", missingSegments},
	{"setBack", markSetBack},
	{"twoTails", twoTails},
	{"contradictions", contradictions},
}

func TestScenario(t *testing.T) { scenarios.Test(t) }

// bench is a log on a disk of its own, with a model beside it.
type bench struct {
	disk *vfs.Memory
	c    *clock
	m    *model
	a    *author
	o    Options
	l    *Log
	err  error // the first: what follows it does nothing
}

func newBench(seed uint64) *bench {
	b := &bench{disk: vfs.NewMemory(), c: &clock{}, m: newModel()}
	b.a, b.o = newAuthor(seed, b.m), testOptions(b.c, seed)
	b.open()
	return b
}

func (b *bench) failf(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// open starts from the disk and checks what is found against the model.
func (b *bench) open() {
	if b.err != nil {
		return
	}
	l, rec, err := Open(b.disk, b.o)
	if err != nil {
		b.err = err
		return
	}
	k, err := b.m.match(&rec)
	if err != nil {
		b.err = err
		return
	}
	b.m.cut(k)
	b.l = l
}

// impaired starts from the disk, which must be refused, and be left as it is.
func (b *bench) impaired(why string) (rec Recovery) {
	if b.err != nil {
		return rec
	}
	_, before := b.disk.Files()
	l, rec, err := Open(b.disk, b.o)
	_, now := b.disk.Files()
	switch {
	case err != nil:
		b.err = err
	case l != nil || rec.Verdict.Kind != Impaired || len(rec.Entries) > 0:
		b.failf("%s: not noticed: %v", why, rec.Verdict)
	case !reflect.DeepEqual(before, now):
		b.failf("%s: evidence was changed", why)
	}
	return rec
}

func (b *bench) append(records ...zab.Record) {
	if b.err == nil {
		if b.err = b.l.Append(records); b.err == nil {
			b.m.reported()
		}
	}
}

// entry appends one entry as a batch.
func (b *bench) entry() {
	r := b.a.entry(b.m.now(), false)
	b.m.issue(records(r))
	b.append(r)
}

func (b *bench) mark() {
	r := b.a.mark(b.m.now())
	b.m.issue(records(r))
	b.append(r)
}

func (b *bench) acked() {
	b.c.now += 2 * time.Second
	if b.err == nil {
		b.err = b.l.Acked(b.m.now().pos)
	}
}

func (b *bench) close() {
	if b.err == nil {
		b.err = b.l.Close()
	}
}

// put writes into a file of the directory.
func (b *bench) put(name string, at int64, data []byte) {
	if b.err == nil {
		b.err = crashtest.Overwrite(b.disk, b.o.Dir+"/"+name, at, data)
	}
}

// logs are the segments, oldest first.
func (b *bench) logs() []string {
	var logs []string
	names, _ := b.disk.Files()
	for _, n := range names {
		if strings.HasSuffix(n, segmentSuffix) {
			logs = append(logs, n)
		}
	}
	return logs
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 5)) }
