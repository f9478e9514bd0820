package sim

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// catalogue says where the scenarios of election (E), storage (D), synchronisation (S), sessions (H), watches (W), reads (R), the tree (T), limits (L) and
// operation (O) are run: a test of a package, and a subtest of it; or, in a text that the test plays, the line with which the scenario begins; or a counter of
// the random seeds, which fail if they do not reach it.
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

	{"E1", "who has more than anybody joins late", "zab", "TestScenarios", "sync.txt: TRUNC: the learner has more than the leader, which is of a later epoch."},
	{"E2", "elected, and followed by nobody", "zab", "TestScenarios", "leave.txt: A candidate that nobody follows gives up after the same time"},
	{"E3", "a leader goes as soon as it is established", "internal/sim", "TestSeeds", "counter: strike at establish"},
	{"E3", "or its followers know that", "internal/sim", "TestSeeds", "counter: strike at up to date"},
	{"E4", "of five some go after their vote", "zab", "TestScenarios", "leave.txt: Of five, those two that still acknowledge are a quorum with the leader"},
	{"E5", "a promise outlives its member", "internal/sim", "TestSeeds", "counter: crash between promise and SYNC"},
	{"E5", "and no lower epoch is promised", "zab", "TestScenarios", "renewal.txt: A learner promises no epoch below the one it has promised."},
	{"E6", "the disk fails", "zab", "TestScenarios", "leave.txt: The disk of a member fails: it leaves, and does nothing more"},
	{"E7", "followers that do not answer LEADERINFO", "zab", "TestScenarios", "leave.txt: With followers, and without their promises."},
	{"E8", "rounds behind", "election", "TestScenarios", "faults.txt: E8: "},
	{"E9", "the decisive vote is lost", "election", "TestScenarios", "faults.txt: E9: "},
	{"E10", "votes that are malformed", "internal/wire", "TestTornIsRefused", ""},
	{"E10", "or lie about their lengths", "internal/wire", "TestLies", ""},
	{"E11", "the word of followers elects nobody", "election", "TestScenarios", "join.txt: Followers that name a leader do not elect it"},
	{"E12", "both dial at once", "transport/tcp", "TestBothDial", ""},
	{"E12", "a second connection under load", "internal/sim", "TestSeeds", "counter: duplicate connection"},
	{"E14", "even sizes", "election", "TestScenarios", "elect.txt: E14: "},
	{"E16", "a leader that is stopped", ".", "TestE16PausedLeader", ""},
	{"E16", "a leader that stands still ends no session", "internal/sim", "TestSessionScenarios", "E16"},
	{"E16", "nor one that is cut off", ".", "TestE16LeaderCutOff", ""},
	{"E17", "a vote of a former run", "election", "TestScenarios", "faults.txt: E17: "},
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
	{"H10", "ephemerals of a multi, and a change of leader", ".", "TestH10EphemeralInMulti", ""},

	{"R1", "from a fresh member to one that lags", ".", "TestR1NoTimeTravel", ""},
	{"R2", "Sync at a follower of a leader that was deposed", ".", "TestR2SyncIsFresh", ""},
	{"R2", "a round that was begun before", "internal/core", "TestR2RoundUnderWay", ""},
	{"R3", "a thousand calls in order", ".", "TestR3SubmitOrder", ""},
	{"R4", "a commit before the call that it decides was sent", "internal/core", "TestR4CommitOfUnseenRequest", ""},
	{"R6", "an outcome that is unknown", ".", "TestR6UnknownOutcomeResolves", ""},

	{"T1", "a multi that fails at each place", ".", "TestTreeScenarios", "T1"},
	{"T1", "multis that fail at each operation", "internal/sim", "TestKindScenarios", "T1"},
	{"T2", "versions wrap", "datatree", "TestScenarios", "T2"},
	{"T3", "what cannot be", "datatree", "TestScenarios", "T3"},
	{"T4", "proposals that need each other", "datatree", "TestScenarios", "T4"},
	{"T5", "a hundred thousand children", ".", "TestTreeScenarios", "T5"},
	{"T6", "the reaper and creates", ".", "TestTreeScenarios", "T6"},
	{"T6", "judged again", "datatree", "TestScenarios", "T6"},
	{"T6", "a container is reaped and given a child", "internal/sim", "TestKindScenarios", "T6"},

	{"L1", "the largest requests, and larger ones", ".", "TestLargestRequests", ""},
	{"L1", "a message that the receiver does not take", "internal/link", "TestTooLargeForReceiver", ""},
	{"L1", "frames that lie about their length", "transport/tcp", "TestFramesThatLie", ""},
	{"L2", "a watcher that reads nothing", ".", "TestWatchScenarios", "overflow"},
	{"L2", "a peer that reads nothing", "transport/tcp", "TestPeerNeverReads", ""},
	{"L4", "garbage at the port", "transport/tcp", "TestGarbage", ""},
	{"L4", "the wrong certificates", "transport/tcp", "TestAuthentication", ""},
	{"L4", "the certificate of another member", "transport/tcp", "TestImpostor", ""},
	{"L5", "a directory of the version before", ".", "TestUpgrade", ""},
	{"L5", "a peer of the version to come", "transport/tcp", "TestHelloOfLaterVersion", ""},
	{"O1", "Close at each step", ".", "TestCloseAtEachPhase", ""},
	{"O3", "many lives in one process", ".", "TestManyCyclesLeaveNoGoroutine", ""},
}

// letters are the kinds of scenarios, with the last number of each.
var letters = map[string]int{"E": 17, "D": 20, "S": 22, "H": 10, "W": 8, "R": 6, "T": 6, "M": 7, "L": 5, "O": 3}

// missing are the scenarios that nothing runs, and why.
var missing = map[string]string{
	"R5": "there is no such mode: every member answers reads by itself, with or without a quorum",
	"M1": noChange, "M2": noChange, "M3": noChange, "M4": noChange, "M5": noChange, "M6": noChange, "M7": noChange,
}

const noChange = "the membership does not change yet"

func init() {
	for _, id := range []string{"E13", "E15", "D8", "D17", "S13", "S20", "H5", "W3", "L3", "O2"} {
		missing[id] = "the catalogue itself leaves this number out"
	}
}

func TestScenarioTable(t *testing.T) {
	listed := map[string]bool{}
	for _, c := range catalogue {
		listed[c.id] = true
		if err := exists(c.dir, c.test, c.sub); err != nil {
			t.Errorf("%s, %s: %v", c.id, c.what, err)
		}
		if kind := strings.TrimRight(c.id, "0123456789"); letters[kind] == 0 {
			t.Errorf("%s is of no kind that is known", c.id)
		}
	}
	for kind, last := range letters {
		for n := 1; n <= last; n++ {
			switch id := fmt.Sprint(kind, n); {
			case listed[id] && missing[id] != "":
				t.Errorf("%s is run, and said to be missing", id)
			case !listed[id] && missing[id] == "":
				t.Errorf("%s is run by nothing", id)
			}
		}
	}
	for _, c := range [][3]string{
		{"internal/wal", "TestNothing", "D1"}, {"internal/wal", "TestScenario", "D99"}, {"zab", "TestScenarios", "sync.txt: nothing of it"},
		{"internal/sim", "TestSyncScenarios", "D2"},                                 // is a subtest of another test
		{"internal/sim", "TestKindScenarios", "data"},                               // is deeper down
		{"zab", "TestMaxBatch", "sync.txt: DIFF: "},                                 // plays no texts
		{"internal/sim", "TestSeeds", "counter: none"},                              // is counted by nobody
		{"internal/sim", "TestSeeds", "counter: part of an earlier run used again"}, // need not be reached
		{"internal/sim", "TestMain", ""},                                            // is no test
	} {
		if exists(c[0], c[1], c[2]) == nil {
			t.Errorf("%v is taken for a test", c)
		}
	}
}

// exists looks for a test and its subtest: what the test, or a table of the package that it names, gives as the name of a case or to Run; or for the line of
// a text that it plays, or a counter.
func exists(dir, test, sub string) error {
	p, err := parsed(dir)
	if err != nil {
		return err
	}
	f := p.tests[test]
	if f == nil {
		return fmt.Errorf("%s has no %s", dir, test)
	}
	file, line, text := strings.Cut(sub, ": ")
	switch {
	case sub == "":
		return nil
	case text && file == "counter":
		if i, ok := goalIndex[line]; !ok || goals[i].min == 0 || test != "TestSeeds" {
			return fmt.Errorf("%s does not demand that %q is reached", test, line)
		}
		return nil
	case text:
		b, err := os.ReadFile("../../" + dir + "/testdata/" + file)
		if err != nil {
			return err
		}
		plays := false
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			plays = plays || ok && types.ExprString(c.Fun) == "script.Run"
			return true
		})
		if !plays || !strings.Contains("\n"+string(b), "\n# "+line) {
			return fmt.Errorf("%s of %s plays no text of %s that begins with %q", test, dir, file, line)
		}
		return nil
	}
	if !slices.Contains(p.cases(f.Body), sub) {
		return fmt.Errorf("%s of %s has no %s", test, dir, sub)
	}
	return nil
}

// testFiles are the tests of a package, and its tables.
type testFiles struct {
	tests  map[string]*ast.FuncDecl
	tables map[string]ast.Node
}

var parsedDirs = map[string]*testFiles{}

func parsed(dir string) (*testFiles, error) {
	if p := parsedDirs[dir]; p != nil {
		return p, nil
	}
	files, err := filepath.Glob("../../" + dir + "/*_test.go")
	if err != nil {
		return nil, err
	}
	p := &testFiles{map[string]*ast.FuncDecl{}, map[string]ast.Node{}}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if a := d.Type.Params.List; d.Recv == nil && len(a) == 1 && types.ExprString(a[0].Type) == "*testing.T" {
					p.tests[d.Name.Name] = d
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
						p.tables[v.Names[0].Name] = v.Values[0]
					}
				}
			}
		}
	}
	parsedDirs[dir] = p
	return p, nil
}

// cases returns the names of the cases of a test: the first fields of the elements of a table that it has or names, and what it gives to Run.
func (p *testFiles) cases(of ast.Node) (names []string) {
	name := func(e ast.Expr) {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				names = append(names, s)
			}
		}
	}
	ast.Inspect(of, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if table := p.tables[n.Name]; table != nil && table != of {
				names = append(names, p.cases(table)...)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Run" && len(n.Args) == 2 {
				name(n.Args[0])
			}
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) > 1 {
					name(c.Elts[0])
				}
			}
		}
		return true
	})
	return names
}
