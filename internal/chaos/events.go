package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ensemble-go/ensemble"
)

// What a member notes in a file as it happens, because it may be killed at any time.
const (
	evRun      = "run"      // the process has begun
	evLeads    = "leads"    // this member serves as the leader
	evAttached = "attached" // it serves Session in Generation
	evLapsed   = "lapsed"   // its Context has ended there; Given: because no renewal was confirmed in time
	evEnded    = "ended"    // the end of Session is applied here, at Zxid
	evStalled  = "stalled"  // the process got no processor for Took, until then
)

// event is one of these.
type event struct {
	Member     ensemble.ID
	Kind       string
	At         int64 // monotonic
	Session    uint64
	Generation uint32
	Given      bool
	Zxid       ensemble.Zxid
	Took       int64
}

// events is the file of a member.
type events struct{ f *os.File }

func eventsFile(dir string, id ensemble.ID) string {
	return filepath.Join(dir, fmt.Sprintf("%d.events", id))
}

func openEvents(file string) (*events, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &events{f}, err
}

// note writes e with the time. It is in the file then, whatever becomes of the process.
func (x *events) note(e event) {
	e.At = monotonic()
	fmt.Fprintf(x.f, "%s %d %d %d %t %d %d\n", e.Kind, e.At, e.Session, e.Generation, e.Given, uint64(e.Zxid), e.Took)
}

// The process looks at the clock every pulse; when that is late by more than lateness, it says so.
const (
	pulse    = 10 * time.Millisecond
	lateness = 30 * time.Millisecond
)

// watch notes when the process was stopped, or had to wait for a processor.
func (x *events) watch() {
	for {
		before := monotonic()
		time.Sleep(pulse)
		if late := monotonic() - before - int64(pulse); late > int64(lateness) {
			x.note(event{Kind: evStalled, Took: late})
		}
	}
}

// readEvents returns what a member has noted. The last line may have been cut by its death.
func readEvents(dir string, id ensemble.ID) (list []event, err error) {
	f, err := os.Open(eventsFile(dir, id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		e := event{Member: id}
		var z uint64
		if n, _ := fmt.Sscanf(s.Text(), "%s %d %d %d %t %d %d", &e.Kind, &e.At, &e.Session, &e.Generation, &e.Given, &z, &e.Took); n == 7 {
			e.Zxid = ensemble.Zxid(z)
			list = append(list, e)
		}
	}
	return list, s.Err()
}
