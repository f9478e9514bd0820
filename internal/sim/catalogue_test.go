package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// catalogue says where the scenarios of storage (D), synchronisation (S), sessions (E16, H), watches (W) and the tree (T) are run: a test of a package, and a subtest of it, or in a text that the
// test plays the line with which the scenario begins.
var catalogue = []struct{ id, what, dir, test, sub string }{
	{"D1", "a log cut at every byte", "internal/wal", "TestScenario", "D1"},
	{"D2", "a bit flips in the middle of a log", "internal/wal", "TestScenario", "D2"},
	{"D2", "and the member is brought up to date", "internal/sim", "TestDiskScenarios", "D2"},
	{"D3", "damage here, a lack there, and the third is away", "internal/sim", "TestDiskScenarios", "D3"},
	{"D4", "a sync fails once, of the log", "internal/wal", "TestScenario", "D4"},
	{"D4", "of a snapshot", "snapshot", "TestScenario", "D4"},
	{"D4", "of the leader", "internal/sim", "TestDiskScenarios", "D4"},
	{"D5", "no space for the log", "internal/wal", "TestScenario", "D5"},
	{"D5", "of the leader", "internal/sim", "TestDiskScenarios", "D5"},
	{"D6", "no space anywhere", "internal/sim", "TestDiskScenarios", "D6"},
	{"D7", "a voter that forgot", "internal/sim", "TestDiskScenarios", "D7"},
	{"D7", "for longer", "internal/sim", "TestScenarios", "Amnesia3"},
	{"D9", "empty or missing snapshots", "snapshot", "TestScenario", "D9"},
	{"D10", "the newest snapshot is damaged", "snapshot", "TestScenario", "D10"},
	{"D11", "a crash in each step of a snapshot", "snapshot", "TestScenario", "D11"},
	{"D12", "retention keeps what is needed, of the log", "internal/wal", "TestScenario", "D12"},
	{"D12", "of snapshots", "snapshot", "TestScenario", "D12"},
	{"D13", "empty files", "internal/wal", "TestScenario", "D13"},
	{"D14", "a torn or empty mark", "internal/wal", "TestScenario", "D14"},
	{"D15", "the directory of somebody else", "internal/wal", "TestScenario", "D15"},
	{"D16", "two processes and one directory", "internal/wal", "TestScenario", "D16"},
	{"D18", "a snapshot while it is written", "snapshot", "TestScenario", "D18"},
	{"D19", "refused requests are replayed", "internal/sim", "TestDiskScenarios", "D19"},
	{"D20", "the end of a process, then of the power", "internal/wal", "TestScenario", "D20"},

	{"S1", "commits between NEWLEADER and UPTODATE", "internal/sim", "TestSyncScenarios", "S1"},
	{"S2", "an acknowledgement before the disk has it", "internal/sim", "TestSyncScenarios", "S2"},
	{"S3", "the epoch before the history", "internal/sim", "TestSyncScenarios", "S3"},
	{"S4", "a snapshot, and then the leader is gone", "zab", "TestScenarios", "sync.txt: A crash after the RESET, and before NEWLEADER"},
	{"S5", "NEWLEADER before the snapshot is durable", "zab", "TestScenarios", "sync.txt: for it. The RESET is durable before the state is replaced"},
	{"S6", "what nobody committed, kept in memory", "internal/sim", "TestSyncScenarios", "S6"},
	{"S7", "TRUNC across files", "internal/sim", "TestDiskScenarios", "S7"},
	{"S8", "TRUNC fails", "internal/sim", "TestDiskScenarios", "S8"},
	{"S9", "a snapshot in place of a TRUNC below it", "internal/sim", "TestScenarios", "SnapshotGoesBack"},
	{"S10", "a snapshot that is newer than the log", "snapshot", "TestScenario", "received"},
	{"S11", "what a learner needs is a gap at the leader", "zab", "TestScenarios", "sync.txt: SNAP: what the learner needs has left the leader's memory."},
	{"S12", "nothing in memory but a snapshot", "internal/sim", "TestSyncScenarios", "S12"},
	{"S14", "many learners join, and go down midway", "internal/sim", "TestDiskScenarios", "S14"},
	{"S15", "a learner goes away while its disk writes", "internal/sim", "TestSyncScenarios", "S15"},
	{"S16", "an acknowledgement of a former attempt", "internal/sim", "TestScenarios", "FollowsTwice"},
	{"S17", "the counter is used up", "internal/sim", "TestScenarios", "RenewedUnderLoad"},
	{"S18", "an acknowledgement before that of NEWLEADER", "internal/sim", "TestSyncScenarios", "S18"},
	{"S19", "a leader alone with what it proposed", "internal/core", "TestScenarios", "requests.txt: The leader goes away with requests that nobody else has seen."},
	{"S21", "the same proposals again", "internal/sim", "TestSyncScenarios", "S21"},
	{"S22", "a state that differs", "internal/core", "TestScenarios", "digests.txt: A follower whose state has gone bad"},

	{"W1", "an event before what it tells", ".", "TestWatchScenarios", "W1"},
	{"W1", "an event comes before its data", "internal/sim", "TestKindScenarios", "W1"},
	{"W2", "what happens between two members", ".", "TestWatchScenarios", "W2"},
	{"W2", "what happens before a watch is left anew", "internal/sim", "TestKindScenarios", "W2"},
	{"W4", "a caller goes while it is registered", ".", "TestWatchScenarios", "W4"},
	{"W4", "a connection ends while something happens", "internal/sim", "TestKindScenarios", "W4"},
	{"W5", "a multi that fails, and one that does not", ".", "TestWatchScenarios", "W5"},
	{"W5", "for ZooKeeper's watches", "datatree", "TestScenarios", "W5"},
	{"W6", "the whole tree, through elections", ".", "TestWatchScenarios", "W6"},
	{"W6", "a gap is told", ".", "TestWatchScenarios", "snapshot"},
	{"W6", "recursive watches", "internal/sim", "TestKindScenarios", "W6"},
	{"W7", "closed while it happens", ".", "TestWatchScenarios", "W7"},
	{"W7", "removed or told", "datatree", "TestScenarios", "W7"},
	{"W8", "no event without permission", "datatree", "TestScenarios", "W8"},

	{"E16", "a leader that stands still ends no session", "internal/sim", "TestSessionScenarios", "E16"},
	{"E16", "nor one that is cut off", ".", "TestE16LeaderCutOff", ""},
	{"H1", "the end of a session comes by synchronisation", ".", "TestH1EphemeralNotDeleted", ""},
	{"H2", "creates under way on a session that is closed elsewhere", ".", "TestH2CreateAfterClose", ""},
	{"H3", "a session moves with calls under way", ".", "TestH3SessionMove", ""},
	{"H4", "silent only since there is no leader", ".", "TestH4LeaderChangeGrace", ""},
	{"H6", "wall clocks jump by a year", "internal/sim", "TestSessionScenarios", "H6"},
	{"H6", "of nodes", ".", "TestH6WallClockJumps", ""},
	{"H7", "a client that is cut off knows it by itself", ".", "TestH7ClientSideExpiry", ""},
	{"H7", "a renewal that is long on its way", ".", "TestH7SlowRenewals", ""},
	{"H8", "resumed or closed while it ends", ".", "TestH8AskedWhileItEnds", ""},
	{"H8", "closed while it expires, twice, a wrong password", ".", "TestH8BadMoments", ""},
	{"H9", "no id comes twice", ".", "TestH9SessionIDsAreUnique", ""},

	{"T1", "a multi that fails at each place", ".", "TestTreeScenarios", "T1"},
	{"T1", "multis that fail at each operation", "internal/sim", "TestKindScenarios", "T1"},
	{"T2", "versions wrap", "datatree", "TestScenarios", "T2"},
	{"T3", "what cannot be", "datatree", "TestScenarios", "T3"},
	{"T4", "proposals that need each other", "datatree", "TestScenarios", "T4"},
	{"T5", "a hundred thousand children", ".", "TestTreeScenarios", "T5"},
	{"T6", "the reaper and creates", ".", "TestTreeScenarios", "T6"},
	{"T6", "judged again", "datatree", "TestScenarios", "T6"},
	{"T6", "a container is reaped and given a child", "internal/sim", "TestKindScenarios", "T6"},
}

// missing are the numbers that the catalogue of scenarios itself leaves out.
var missing = map[string]bool{"D8": true, "D17": true, "S13": true, "S20": true, "H5": true, "W3": true}

func TestScenarioTable(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range catalogue {
		listed[c.id] = true
		if err := exists(c.dir, c.test, c.sub); err != nil {
			t.Errorf("%s, %s: %v", c.id, c.what, err)
		}
	}
	for kind, last := range map[string]int{"D": 20, "S": 22, "H": 9, "W": 8, "T": 6} {
		for n := 1; n <= last; n++ {
			if id := fmt.Sprint(kind, n); !listed[id] && !missing[id] {
				t.Errorf("%s is run by nothing", id)
			}
		}
	}
	for _, c := range [][3]string{{"internal/wal", "TestNothing", "D1"}, {"internal/wal", "TestScenario", "D99"}, {"zab", "TestScenarios", "sync.txt: nothing of it"}} {
		if exists(c[0], c[1], c[2]) == nil {
			t.Errorf("%v is taken for a test", c)
		}
	}
}

// exists looks for a test and its subtest, or the line of a text that it plays.
func exists(dir, test, sub string) error {
	files, err := filepath.Glob("../../" + dir + "/*_test.go")
	if err != nil {
		return err
	}
	var source []byte
	for _, f := range files {
		if filepath.Base(f) == "catalogue_test.go" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		source = append(source, b...)
	}
	if !bytes.Contains(source, []byte("\nfunc "+test+"(t *testing.T)")) {
		return fmt.Errorf("%s has no %s", dir, test)
	}
	if file, line, text := bytes.Cut([]byte(sub), []byte(": ")); text {
		b, err := os.ReadFile("../../" + dir + "/testdata/" + string(file))
		if err != nil {
			return err
		}
		if !bytes.Contains(b, append([]byte("# "), line...)) {
			return fmt.Errorf("%s does not begin with %q", file, line)
		}
		return nil
	}
	if sub != "" && !bytes.Contains(source, []byte(`{"`+sub+`", `)) {
		return fmt.Errorf("%s of %s has no %s", test, dir, sub)
	}
	return nil
}
