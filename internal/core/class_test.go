package core

import (
	"testing"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/zab"
)

// What may be lost goes in Control, so that it waits for nothing; what must come in order, or at all, goes in Log; snapshots hold up neither.
func TestClasses(t *testing.T) {
	for class, list := range [][]Message{
		Control: {&election.Notification{}, &zab.Ping{}, &zab.Pong{}, &Birth{}, &Renew{}, &Renewed{}},
		Log: {
			&zab.FollowerInfo{}, &zab.LeaderInfo{}, &zab.AckEpoch{}, &zab.Refuse{}, &zab.Sync{}, &zab.Fetch{}, &zab.Installed{}, &zab.Propose{}, &zab.NewLeader{},
			&zab.Ack{}, &zab.UpToDate{}, &zab.Commit{}, &zab.Handover{}, &Forward{}, &SyncAsk{}, &SyncAnswer{}, &Compared{}, &Reinstall{},
		},
		Bulk: {&zab.Chunk{}},
	} {
		for _, msg := range list {
			if c := classOf(msg); c != Class(class) {
				t.Errorf("%T travels in class %d", msg, c)
			}
		}
	}
}
