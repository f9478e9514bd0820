// Chaos runs an ensemble as its users do, as processes of this machine over TCP with TLS and with a data directory each, does to them what machines and networks do,
// and checks what the clients were told:
//
//	go run .                     # one round of faults: what a change must pass, under five minutes
//	go run . -duration 1h        # rounds until an hour is over
//	go run . -seed 7             # the faults, targets and times of seed 7
//	go run . failover            # how long there is no service when the leader's process is killed
//
// Processes are killed, stopped and continued; every connection passes a proxy of its own, which delays, holds, cuts (in the middle of a frame, too), or leaves one half of it open; and a
// disk is filled, where the machine lets us mount one. Clients write and read all the while. Some have sessions of their own, of one to two seconds, which they resume at another member when theirs does
// not answer, close, or forget with the process that died; on them they count, make ephemerals and take a lock.
//
// Afterwards two checks judge their history. The log that the members have on their disks is the oracle: each acknowledged write is there exactly once, none that was refused
// is, and one whose outcome is not known is there at most once; reads show what the log says; all members have the same tree, which is also that of the log. And without a look at the order of the log,
// porcupine finds an order of the operations on each key that explains all answers. Of sessions the oracle demands more:
//
//   - A call has a name, (session, generation, number), which the member's process counts by itself; the log has it under that name, once, or not at all, and so what became of a call of unknown outcome is
//     known. The calls of a session are decided in that order, without a gap, and none after its end.
//   - A counter is in the end the sum of the increments that were acknowledged and of those others that the log has. An increment is a read and a Set of the version that was read.
//   - At each zxid an ephemeral is there if and only if its session is open.
//   - A session that nobody renews ends after its timeout and a bucket, counted from the last sign of life, the last change of leader or its last pause; one whose Context had not ended does not end
//     before a third of its timeout has passed since.
//   - No two sessions believe to hold the lock, by their Contexts, at once, unless a process was stopped for so long that its clock could not tell it; and fencing tokens grow.
//
// The processes note the ends of sessions and Contexts, and every time for which they got no processor, with the time of CLOCK_MONOTONIC, which they have in common.
//
// A run that proves little is not green: it is INVALID with fewer than 100 acknowledged writes a second, with fewer than 10 faults of a kind that had an effect, with too few increments, sessions resumed
// after the death of their process, ends of silent sessions or hand-overs of the lock, or when a check ran out of time. The seed decides the faults, not when a process is scheduled, so a seed that fails once may pass the next time. The directories of a failed run are kept.
//
// It needs Linux. It is a module of its own, so that hosts inherit none of what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := os.Args[1:]
	var err error
	switch {
	case len(args) > 0 && args[0] == "member":
		err = member(ctx, args[1:])
	case len(args) > 0 && args[0] == "raft-member":
		err = raftMember(args[1:])
	case len(args) > 0 && args[0] == "failover":
		err = failover(ctx, args[1:])
	default:
		err = chaos(ctx, args)
	}
	if err != nil {
		if invalid := (invalid{}); errors.As(err, &invalid) {
			fmt.Println("INVALID:", err)
		} else {
			fmt.Println("FAILED:", err)
		}
		os.Exit(1)
	}
}

// invalid is what is wrong with a run that shows nothing.
type invalid struct{ error }

// The least that a run must have seen.
const (
	leastRate    = 100 // acknowledged writes a second
	leastFaults  = 10  // of each kind, that had an effect
	leastCounted = 500 // increments
	leastResumed = 10  // sessions whose process had been killed
	leastTimed   = 10  // sessions that nobody renewed any more, whose end was seen
	leastHanded  = 50  // hand-overs of the lock
	longestBack  = 2 * time.Second
	clientsCount = 15
	longestRun   = 10 * time.Minute // then the history is judged, and a new ensemble goes on with the next seed
)

func chaos(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	seed := flags.Uint64("seed", rand.Uint64N(1e9), "decides faults, targets and times")
	duration := flags.Duration("duration", 0, "rounds of faults are begun until this time is over; at least one")
	limit := flags.Duration("check", 2*time.Minute, "how long porcupine may take")
	mutant := flags.String("mutant", "", "of a build with the tag mutants: a known mistake that the members make")
	verbose := flags.Bool("v", false, "tell every fault")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? see -help", flags.Arg(0))
	}
	if err := setMutant(*mutant); err != nil {
		return err
	}
	for begin := time.Now(); ; *seed++ {
		left := min(max(0, *duration-time.Since(begin)), longestRun)
		fmt.Printf("seed %d\n", *seed)
		dir, err := os.MkdirTemp("", "ensemble-chaos-")
		if err != nil {
			return err
		}
		r := &run{seed: *seed, dir: dir, verbose: *verbose, duration: left, checkLimit: *limit, mutant: *mutant, begin: time.Now()}
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("%w\nlogs and data are in %s\nseed %d; again: (cd internal/chaos && go run . -seed %d -duration %v -v)", err, dir, *seed, *seed, left)
		}
		if err := os.RemoveAll(dir); err != nil || time.Since(begin) >= *duration {
			return err
		}
	}
}
