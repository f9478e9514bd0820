//go:build mutants

package ensemble_test

import (
	"testing"

	"github.com/ensemble-go/ensemble/internal/crashtest"
)

// Each mutant is a mistake that the writer, beginning a directory, or telling watchers could make, and is found by the test that is named beside it, in a process of its own.
func TestMutants(t *testing.T) {
	crashtest.Processes{
		{"bootstrap-in-two-steps", "first the directory, then what it says", "TestBootstrapCrashes"},
		{"restore-unannounced", "nothing tells that it is not done", "TestRestoreCrashes"},
		{"restore-finished-early", "the members count before they have a history", "TestRestoreCrashes"},
		{"restore-epoch-kept", "fencing tokens go back", "TestRestore"},
		{"restore-identity-kept", "old members are let in", "TestRestore"},
		{"restore-unchecked", "a backup that was cut is taken", "TestRestoreRefusesWhatIsNoBackup"},
		{"reset-before-snapshot", "a RESET is durable before the snapshot that it names", "TestPowerLossAtEachStepOfReceiving"},
		{"failed-batch-told", "what could not be written is told as durable", "TestFailedSyncIsNoAcknowledgement"},
		{"aside-nobodys-born", "a damaged directory of which nothing tells whose it is becomes that of a founder", "TestDamagedIdentityFoundsNothing"},
		{"feed-after-data", "an event is there only with the next transaction", "TestWatchScenarios"},
		{"missed-not-told", "who begins after a zxid is told only what is to come", "TestWatchScenarios"},
		{"overflow-not-told", "who is too slow misses nothing, and nobody can afford it", "TestWatchScenarios"},
		{"gap-not-told", "a snapshot is no gap", "TestWatchScenarios"},
		{"failed-multi-kept", "what a failed multi would have left is judged by", "TestTreeScenarios"},
		{"backupdir-without-tail", "what is not known to be committed is left out", "TestBackupDirHasTheTail"},
		{"renewal-unconfirmed", "a renewal is confirmed without a quorum round", "TestE16LeaderCutOff"},
		{"expiry-by-wall-clock", "m25", "TestH6WallClockJumps"},
		{"call-after-close", "m26, at the leader: a create is judged after the end of its session", "TestNothingAfterTheEnd"},
		{"window-lost-in-snapshot", "what was decided is judged anew", "TestWindowSurvivesSnapshot"},
		{"password-unchecked", "whoever knows an id has the session", "TestH8BadMoments"},
		{"snapshot-not-frozen", "a snapshot has what was decided while it was read", "TestSnapshotStaysAsItWas"},
		{"resume-no-sign-of-life", "a session that is being resumed ends for its silence before", "TestResumeIsASignOfLife"},
		{"session-orphaned", "a session whose caller has gone is renewed for ever", "TestAbandonedSession"},
		{"expiry-early", "a session is ended after half of its timeout", "TestH7ClientSideExpiry"},
		{"ephemeral-left", "a session that ends takes one ephemeral along, and leaves the others", "TestH1EphemeralNotDeleted"},
		{"context-outlives", "a Context goes on when the session may have ended", "TestH7ClientSideExpiry"},
		{"resumption-ends", "who does not wait for a resumption ends the session", "TestAbandonedResumption"},
		{"former-owner-judged", "a call of whoever had the session before is judged", "TestH3RequestsLeftBehind"},
		{"moved-told-as-expired", "who has lost a session to another member is told that it is over", "TestH3RequestsLeftBehind"},
		{"sync-of-moved", "a Sync on a session that has moved meanwhile succeeds", "TestH3RequestsLeftBehind"},
		{"resumed-unapplied", "m30: a session is served before its move is applied here", "TestH3SessionMove"},
		{"resumed-unapplied", "m30: the same, at a member that lags", "TestR1NoTimeTravel"},
		{"no-grace", "a leader that is new ends whoever it has not heard of yet", "TestH4LeaderChangeGrace"},
		{"no-grace", "the same, after there was no leader for long", "TestH4NoLeaderForLong"},
		{"silence-not-found", "a new leader does not know the time of the sessions that it finds", "TestH4NoLeaderForLong"},
		{"lasts-from-answer", "a Context lasts from when a renewal was answered", "TestH7SlowRenewals"},
		{"closed-twice-refused", "to close what has ended is an error", "TestH8BadMoments"},
		{"ending-resumed", "a session is resumed after its end was proposed", "TestH8AskedWhileItEnds"},
		{"session-told-by-clock", "ids are made of the wall clock", "TestH9SessionIDsAreUnique"},
		{"ephemeral-left", "of the ephemerals of a multi one goes with the session", "TestH10EphemeralInMulti"},
		{"unsent-not-answered", "who has not handed a call to this leader does not know it in a commit", "TestH10EphemeralInMulti"},
		{"unsent-not-answered", "the same", "TestR6UnknownOutcomeResolves"},
		{"sync-old-round", "Sync is answered by a round that was over before", "TestR2SyncIsFresh"},
		{"sync-old-round", "the same, at a leader that was stopped", "TestE16PausedLeader"},
		{"calls-reversed", "what was submitted last is made first", "TestR3SubmitOrder"},
		{"published-late", "a write is answered before it can be read", "TestR3SubmitOrder"},
	}.Test(t)
}
