//go:build mutants

package ensemble_test

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that the writer, beginning a directory, or telling watchers could make, and is found by the test that is named beside it, in a process of its own, and by what that test says.
func TestMutants(t *testing.T) {
	crashtest.Processes{
		{"bootstrap-in-two-steps", "first the directory, then what it says", "TestBootstrapCrashes", `called whole, and cannot serve: .*\n? *no quorum`},
		{"restore-unannounced", "nothing tells that it is not done", "TestRestoreCrashes", "called whole, and does not open: .* there are snapshots, and the log is gone"},
		{"restore-finished-early", "the members count before they have a history", "TestRestoreCrashes", `called whole, and has not what was restored: "" get "/a": no such znode`},
		{"restore-epoch-kept", "fencing tokens go back", "TestRestore", "token .* after "},
		{"restore-identity-kept", "old members are let in", "TestRestore", "member 1 can serve"},
		{"membership-configured", "a quorum is what the configuration of a start says", "TestMembershipIsHeld", `membership_test.go:[0-9]+: \[1\]`},
		{"membership-unasked", "members of two memberships speak to each other", "TestMembershipsThatDiffer", "member [12]: refused false, .*Ready:true"},
		{"restore-unchecked", "a backup that was cut is taken", "TestRestoreRefusesWhatIsNoBackup", "bytes of .* are taken for a backup"},
		{"reset-before-snapshot", "a RESET is durable before the snapshot that it names", "TestPowerLossAtEachStepOfReceiving", "taken for damaged: .* the log needs one from"},
		{"failed-batch-told", "what could not be written is told as durable", "TestFailedSyncIsNoAcknowledgement", "was acknowledged, and could not be written"},
		{"aside-nobodys-born", "a damaged directory of which nothing tells whose it is becomes that of a founder", "TestDamagedIdentityFoundsNothing/all_headers", "takes part in a birth"},
		{"feed-after-data", "an event is there only with the next transaction", "TestWatchScenarios/scn/W1", "read version 1, and the event is {Type:Created"},
		{"missed-not-told", "who begins after a zxid is told only what is to come", "TestWatchScenarios/scn/W2", `told  \["Created /p/x`},
		{"overflow-not-told", "who is too slow misses nothing, and nobody can afford it", "TestWatchScenarios/scn/overflow", "an overflow is told as <nil>"},
		{"gap-not-told", "a snapshot is no gap", "TestWatchScenarios/scn/snapshot", "who waits is not told"},
		{"failed-multi-kept", "what a failed multi would have left is judged by", "TestTreeScenarios/scn/T1", `at 4: .* create "/p/c/d": znode exists`},
		{"backupdir-without-tail", "what is not known to be committed is left out", "TestBackupDirHasTheTail", "the backup is of .*, and the log goes to"},
		{"renewal-unconfirmed", "a renewal is confirmed without a quorum round", "TestE16LeaderCutOff", "a leader that is cut off renewed its own session"},
		{"expiry-by-wall-clock", "m25", "TestH6WallClockJumps", "a jump of .* ended a session"},
		{"call-after-close", "m26, at the leader: a create is judged after the end of its session", "TestNothingAfterTheEnd", "a create is judged after the end of its session"},
		{"window-lost-in-snapshot", "what was decided is judged anew", "TestWindowSurvivesSnapshot", "a call is judged again"},
		{"password-unchecked", "whoever knows an id has the session", "TestH8BadMoments", "password [0-9a-f]{32}: <nil>"},
		{"snapshot-not-frozen", "a snapshot has what was decided while it was read", "TestSnapshotStaysAsItWas", "what was read while it changed does not load: session: malformed bytes"},
		{"resume-no-sign-of-life", "a session that is being resumed ends for its silence before", "TestResumeIsASignOfLife", "silent for .* and then resumed, it is ended"},
		{"session-orphaned", "a session whose caller has gone is renewed for ever", "TestAbandonedSession", "sessions of three nodes"},
		{"expiry-early", "a session is ended after half of its timeout", "TestH7ClientSideExpiry", "the session was ended before its owner knew"},
		{"ephemeral-left", "a session that ends takes one ephemeral along, and leaves the others", "TestH1EphemeralNotDeleted", "/e-1 is there"},
		{"context-outlives", "a Context goes on when the session may have ended", "TestH7ClientSideExpiry", "the Context lasted"},
		{"resumption-ends", "who does not wait for a resumption ends the session", "TestAbandonedResumption", "the session that was given up cannot be resumed: session has ended"},
		{"former-owner-judged", "a call of whoever had the session before is judged", "TestH3RequestsLeftBehind", "transaction or snapshot does not belong to this state"},
		{"moved-told-as-expired", "who has lost a session to another member is told that it is over", "TestH3RequestsLeftBehind", "create: session has ended"},
		{"sync-of-moved", "a Sync on a session that has moved meanwhile succeeds", "TestH3RequestsLeftBehind", "sync: <nil>"},
		{"resumed-unapplied", "m30: a session is served before its move is applied here", "TestH3SessionMove", "it is not the same session"},
		{"resumed-unapplied", "m30: the same, at a member that lags", "TestR1NoTimeTravel/it_hears_nothing", "it is served by a member that shows .*, and has seen"},
		{"no-grace", "a leader that is new ends whoever it has not heard of yet", "TestH4LeaderChangeGrace", "it has ended: session has ended"},
		{"no-grace", "the same, after there was no leader for long", "TestH4NoLeaderForLong", "a session that .* ended .* there was a leader"},
		{"silence-not-found", "a new leader does not know the time of the sessions that it finds", "TestH4NoLeaderForLong", "/lost is still there"},
		{"lasts-from-answer", "a Context lasts from when a renewal was answered", "TestH7SlowRenewals", "the Context lasted"},
		{"closed-twice-refused", "to close what has ended is an error", "TestH8BadMoments", "closing: session has ended"},
		{"ending-resumed", "a session is resumed after its end was proposed", "TestH8AskedWhileItEnds", "what was proposed cannot be applied: session: no such session or generation"},
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique", "comes twice"},
		{"ephemeral-left", "of the ephemerals of a multi one goes with the session", "TestH10EphemeralInMulti", "not exactly the ephemerals have gone"},
		{"unsent-not-answered", "who has not handed a call to this leader does not know it in a commit", "TestH10EphemeralInMulti/the_session_moves", "told true: session has moved"},
		{"unsent-not-answered", "the same", "TestR6UnknownOutcomeResolves/the_session_moves", `what was decided as .* is told as 0\.0, session has moved`},
		{"sync-old-round", "Sync is answered by a round that was over before", "TestR2SyncIsFresh", "a leader that was deposed confirms"},
		{"sync-old-round", "the same, at a leader that was stopped", "TestE16PausedLeader", "it confirmed what was old"},
		{"calls-reversed", "what was submitted last is made first", "TestR3SubmitOrder", "/seq/n-[0-9]* of .* after /seq/n-"},
		{"published-late", "a write is answered before it can be read", "TestR3SubmitOrder", "a read after .* shows the tree of"},
	}.Test(t)
}
