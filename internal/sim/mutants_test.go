//go:build mutants

package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

var (
	flagMutant      = flag.String("mutant", "", "the only mutants to try, separated by commas")
	flagMutantSeeds = flag.Uint64("mutant-seeds", 600, "seeds that a mutant may survive")
	flagMutantFirst = flag.Uint64("mutant-first", 20, "seeds that are all run, and must not all find it")
)

// mutants are seeded bugs: each changes one decision in product code, and the invariant named must catch it. It is named by the rule that the bug
// breaks, before a run has found it.
var mutants = []struct{ name, want, note string }{
	{"ack-before-durable", "inv/Z11", "m1"},
	{"newleader-acked-early", "inv/Z11", "m9, of what follows a snapshot"},
	{"join-before-history", "inv/DUR", "m10: joined epoch before history"},
	{"promise-volatile", "inv/Z2", "m11, in a renewal, while the disk is behind"},
	{"promise-twice", "inv/Z2", "model-check 3"},
	{"no-proposals-before-uptodate", "inv/LIVE", "m12"},
	{"commits-before-uptodate-dropped", "inv/LIVE", "m13; UPTODATE, which would tell it again, carries the position of NEWLEADER"},
	{"log-gap-sent", "inv/Z8", "m14: DIFF when the log has a gap"},
	{"log-ends-short", "inv/Z8", "m14, between log and memory: a read that ends early is taken for the whole"},
	{"snapshot-acked-early", "inv/Z11", "m17: SNAP not saved before it is acknowledged"},
	{"resume-another", "inv/Z16", "own: a snapshot goes on behind the chunks of another sequence"},
	{"speculation-kept", "inv/Z16", "m16, nearest: state speculated in a role that ended"},
	{"old-connection", "inv/Z19", "m18, in the link: frames of a former link accepted, in the stream of the log"},
	{"old-session", "inv/Z19", "m18, of an earlier session on the same link"},
	{"ack-before-join-counts", "inv/Z10", "m19, nearest, since no quorum ever asks an observer: acks of one who has not joined"},
	{"blank-counts", "inv/Z10", "m20, nearest, since the membership does not change; model-check 3: counts when it has joined"},
	{"blank-establishes", "inv/Z10", "the same, for the initial history"},
	{"caught-up-counts", "inv/Z10", "model-check 3: counts when it is caught up"},
	{"readmit-counts-itself", "inv/Z10", "model-check 3: its acks count while its Readmit is outstanding"},
	{"readmit-by-half", "inv/Z10", "model-check 3: half of the others, since of an odd number a majority of the others is a full quorum"},
	{"counts-by-log", "inv/Z20", "model-check 3: a logged, uncommitted Readmit, when it follows anew"},
	{"candidate-counts-by-log", "inv/Z20", "F1"},
	{"ready-before-durable", "inv/Z20", "F2, nearest: when a disk is whole again is told to the operator by Ready"},
	{"counts-in-memory", "inv/Z20", "model-check 3: what it learnt is in memory only"},
	{"readmit-names-nobody", "inv/Z20", "model-check 3: no incarnation"},
	{"old-snapshot", "inv/Z12", "F3"},
	{"birth-by-joined", "inv/Z20", "F4; what one says of the birth's end goes with it, being the same question"},
	{"shut-out-kept", "inv/Z21", "F7"},
	{"blank-confirms", "inv/Z15", "model-check 3"},
	{"left-confirms", "inv/Z15", "model-check 3, in a renewal: who leaves for another leader ends its session"},
	{"ack-after-promise", "inv/Z11", "model-check 3, in a renewal, for the same reason"},
	{"unjoined-leader-opens", "inv/Z2", "Sync before the leader's own joined epoch is durable"},
	{"commit-believed-early", "inv/Z14", "a commit position believed before UPTODATE: NEWLEADER after a snapshot taken for it, since what a leader tells is true"},
	{"no-freshness", "inv/Z22", "model-check 3"},
	{"no-epoch-in-freshness", "inv/Z22", "model-check 3, by zxid; in votes too, which would not let it stand"},
	{"rollover-ignored", "inv/Z4", "m21, after a Readmit; CanPropose, which would stop there, does not look either"},
	{"no-step-down", "inv/Z15", "m24"},
	{"any-founder-draws", "inv/LINK", "model-check 3: two ensembles, which refuse each other"},
	{"promise-before-born", "inv/LIVE", "model-check 3, epochs before all have initialised"},
	{"retry-judged-anew", "inv/C1", "a retry judged anew"},
	{"apply-uncommitted", "inv/Z14", "own: a member that begins to stand applies what is only durable"},
	{"digest-ignored", "inv/LIVE", "own: a member does not mind that its state differs"},
	{"digest-by-leader", "inv/LIVE", "own: on the leader's word alone a state is given up"},
	{"votes-outlive-link", "inv/E1", "m22"},
	{"zxid-first", "inv/LIVE", "m23: votes compared without epoch"},
	{"words-before-look", "inv/E1", "own, election: what was said before the election began counts"},
	{"silence-agrees", "inv/E1", "own, election: who has said nothing yet agrees"},
	{"zxid-forgotten", "inv/LIVE", "own, election: votes compared by epoch and id"},
	{"stale-round-kept", "inv/LIVE", "own, election: the next round is not joined"},
	{"settled-is-silent", "inv/LIVE", "own, election: who has a leader does not answer"},
	{"no-resend", "inv/LIVE", "own, election: a vote is told once"},
	{"election-waits-for-all", "inv/LIVE", "own: no leader while a voter is silent; with everybody there it does no harm"},
	{"own-ack-early", "inv/Z10", "review: the leader's own ack counts before its log is durable"},
	{"apply-undurable", "inv/Z14", "review: what is committed is applied before it is durable here"},
	{"uptodate-unjoined", "inv/Z5", "review: UPTODATE to who has not joined"},
	{"confirms-issued", "inv/Z15", "review: a leader is confirmed by a mark that is not durable"},
	{"counts-issued", "inv/Z11", "review: an ack says that its member counts before its mark does, durably"},
	{"sync-unapplied", "inv/C6", "review: Sync is answered before its position is applied"},
	{"sync-old-round", "inv/C6", "review: Sync is answered by a round of confirmation that was over before it was asked for"},
	{"sync-of-applied", "inv/C6", "own: Sync waits for what its leader has applied, which may be less than is committed"},
	{"in-flight-leaks", "inv/R1", "own: a call that ends with its session keeps its place among those in flight"},
	{"overloaded-early", "inv/R1", "own: half of MaxInFlight is too much"},
	{"leaderinfo-early", "inv/Z2", "review: LEADERINFO of a renewal before the leader's own promise is durable"},
	{"installed-early", "inv/Z11", "review: a snapshot is said to be installed before its RESET is durable"},
	{"settled-early", "inv/E2", "review: a member votes, stands or asks to be led while its last write is not durable"},
	{"birth-issued", "inv/Z23", "review: what a founder says of the birth is not durable"},
	{"trunc-unwritten", "inv/Z6", "review: what is cut is cut in memory only"},
	{"renounce-in-memory", "inv/Z12", "review: a state is given up in memory only"},
	{"ready-before-applied", "inv/C7", "review, and m30, nearest, since a session moves by a transaction that is applied where it goes: a learner is ready before the position of UPTODATE is applied"},
	{"events-after-data", "inv/C8", "m27, in the engine: what is answered is told once it can be read"},
	{"rearm-unchecked", "inv/C8", "m28"},
	{"sequence-rolled-back", "inv/C11", "m29: what a failed multi takes back goes back to what is applied, not to what is outstanding"},
	{"expiry-by-wall-clock", "inv/C10", "m25"},
	{"call-after-close", "inv/C9", "m26, at the leader: a call is judged after the end of its session"},
	{"renewal-unconfirmed", "inv/C10", "a renewal is confirmed without a quorum round"},
	{"window-lost-in-snapshot", "inv/Z16", "what was decided is not part of a snapshot, nor of the digest that goes with it"},
	{"password-unchecked", "inv/C3", "own: whoever knows an id has the session"},
	{"silence-not-found", "inv/C10", "own: a leader knows the time only of the sessions that begin or move while it leads"},
	{"old-generation-lives", "inv/C10", "own: a renewal is confirmed to whoever had the session before"},
	{"renewals-of-one-heard", "inv/C10", "own: a leader that waits for a round takes no other renewals"},
	{"resumed-not-renewed", "inv/C10", "own: a session that was resumed is renewed only when there is another leader"},
	{"resume-no-sign-of-life", "inv/C10", "found: a session that is resumed just when its time is over is ended all the same"},
	{"recalled-move-definite", "inv/C1", "found: a call is certain not to be done, since its session has moved, in what a snapshot skipped"},
	{"deletion-told-twice", "inv/C8", "own: who watches the data and the children of a znode is told twice that it is gone"},
	{"reaped-unchecked", "inv/C3", "own: a znode is not looked at again before it goes, which was set since it was chosen"},
	{"mortals-not-loaded", "inv/C13", "own: what goes by itself is not found in a state that was loaded from a snapshot"},
	{"wal-ack-before-sync", "inv/DISK", "m1, in the log"},
	{"wal-sync-retried", "inv/DISK", "m3"},
	{"wal-cut-always", "inv/DISK", "m4"},
	{"wal-eio-is-eof", "inv/DISK", "m5"},
	{"wal-zero-record", "inv/DISK", "m8"},
	{"snapshot-no-dirsync", "inv/DISK", "m2, of a snapshot"},
	{"snapshot-no-sync", "inv/DISK", "own: a snapshot has its name before its content is durable"},
	{"snapshot-purge-one-more", "inv/DISK", "m7, of snapshots"},
	{"snapshot-received-unasked", "inv/DISK", "m15, nearest, since no TRUNC reaches below what is committed, and a snapshot holds nothing else: one newer than the log, which no RESET names, is used"},
	{"reset-before-snapshot", "inv/DISK", "m17"},
	{"old-role-dropped", "inv/DISK", "what an old role has left to be written is dropped when the next one writes its mark"},
	{"wal-no-dirsync", "inv/DISK", "m2"},
	{"wal-page-cache-trusted", "inv/DISK", "m6"},
	{"wal-purge-one-more", "inv/DISK", "m7"},
	{"wal-one-slot", "inv/DISK", "a mark written to one slot only"},
	{"wal-shared-sector", "inv/DISK", "two batches in one sector"},
}

// hunted is what became of one mutant.
type hunted struct {
	first  uint64         // seed that finds it, 0: none
	early  uint64         // of the first that find it
	others map[string]int // invariants that were not named
}

// hunt runs the first seeds, and then more until one finds the mutant.
func hunt(want string) hunted {
	h := hunted{others: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := uint64(0)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next, next <= *flagMutantFirst || next <= *flagMutantSeeds && h.first == 0
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				o := Run(seed, Options{})
				if o.Err == nil {
					continue
				}
				mu.Lock()
				if id := invariant(o.Err); id != want {
					h.others[id]++
				} else {
					if h.first == 0 || seed < h.first {
						h.first = seed
					}
					if seed <= *flagMutantFirst {
						h.early++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return h
}

// A switch without a row is found by nobody.
func TestEveryMutantHasARow(t *testing.T) {
	rows, switches := map[string]bool{"never-settled": true}, map[string]bool{} // that one is of TestEndlessStep
	for _, m := range mutants {
		rows[m.name] = true
	}
	own := map[string][]byte{".": nil, "election": nil, "internal/core": nil, "internal/wal": nil, "snapshot": nil} // these have mutants of their own, too
	for dir := range own {
		b, err := os.ReadFile("../../" + dir + "/mutants_test.go")
		if err != nil {
			t.Fatal(err)
		}
		own[dir] = b
	}
	on := regexp.MustCompile(`mutant\.On\("([^"]*)"\)`)
	for _, dir := range []string{"zab", "election", "internal/core", "internal/link", "session", "datatree", "internal/wal", "snapshot", "internal/durable", "."} {
		files, err := filepath.Glob("../../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range on.FindAllSubmatch(b, -1) {
				switches[string(m[1])] = true
				row := []byte(`{"` + string(m[1]) + `"`)
				if bytes.Contains(own[dir], row) || bytes.Contains(own["."], row) || bytes.Contains(own["internal/core"], row) {
					continue
				}
				if !rows[string(m[1])] && !strings.HasSuffix(f, "_test.go") {
					t.Errorf("%s: mutant %s has no row", f, m[1])
				}
			}
		}
	}
	for name := range rows {
		if !switches[name] {
			t.Errorf("mutant %s has no switch", name)
		}
	}
}

func TestMutants(t *testing.T) {
	defer mutant.Set("")
	caught, tried := 0, 0
	for _, m := range mutants {
		if *flagMutant != "" && !slices.Contains(strings.Split(*flagMutant, ","), m.name) {
			continue
		}
		tried++
		mutant.Set(m.name)
		h := hunt(m.want)
		line := fmt.Sprintf("%-32s %-8s first at seed %3d, by %2d of the first %d; other invariants: %v  (%s)", m.name, m.want, h.first, h.early, *flagMutantFirst, h.others, m.note)
		switch {
		case h.first == 0:
			t.Errorf("NOT CAUGHT %s", line)
		case h.early == *flagMutantFirst:
			t.Errorf("TOO COARSE %s", line)
		default:
			caught++
			t.Log(line)
		}
	}
	t.Logf("mutants caught %d/%d", caught, tried)
}
