package sim

import "slices"

// Cover counts what a run reached.
type Cover [len(goals)]int

// goal is something that the seeds must reach at least so often per 600.
type goal struct {
	name string
	min  int
}

var goals = [...]goal{
	{"core healed", 150}, {"left down", 10}, {"left cut off", 10}, {"left mute", 10}, {"left deaf", 10}, {"left paused", 10}, {"left with a stuck disk", 5},
	{"left with a full disk", 5},
	{"DIFF", 100}, {"TRUNC", 20}, {"TRUNC+DIFF", 20}, {"SNAP", 100}, {"EMPTY", 100},
	{"leader established", 600}, {"epoch renewed in place", 100}, {"readmission", 30}, {"birth", 100}, {"crash during birth", 20},
	{"leader lost quorum", 50}, {"commit between NEWLEADER and UPTODATE", 20}, {"handover", 5},
	{"leader lost quorum in discovery", 50}, {"leader lost quorum in sync", 10}, {"candidate gives way to a fresher member", 1}, {"election of several rounds", 100},
	{"crash before the promise of an epoch", 50}, {"crash between promise and SYNC", 20}, {"crash between SYNC and NEWLEADER", 20}, {"crash between NEWLEADER and join", 20},
	{"crash between join and UPTODATE", 20}, {"crash of a leader between promise and join", 20}, {"crash of a leader between join and establishment", 20},
	{"TRUNC after a DIFF that was cut short", 0}, // in some blocks of 600 seeds four times, in others never; zab/testdata/sync.txt has it as a story
	{"applied while a snapshot is written", 100},
	{"crash in the middle of an output", 100}, {"crash with records lost", 100}, {"epoch promised, never joined", 50}, {"promise refused", 10},
	{"duplicate connection", 100}, {"uncommitted entry of an old leader committed", 20}, {"proposal lost", 20}, {"call unknown after a crash", 100},
	{"call answered across a change of leader", 50}, {"call refused", 20}, {"call refused for want of room", 100}, {"session that must last", 50}, {"verdict refused", 600}, {"sync", 300}, {"read", 300}, {"session opened", 600},
	{"wipe", 30}, {"power loss of all", 10}, {"blank member counts again", 10}, {"state given up", 10}, {"state given up by a leader", 5}, {"leader renews above a learner's promise", 1},
	{"multi refused", 300}, {"answer recalled from a window", 20}, {"view held", 100}, {"applied in several steps", 600},
	{"old frame repeated", 1000}, {"link replaced by its successor", 100}, {"link reset by itself", 100}, {"message in several frames", 1000},
	{"strike at stand", 50}, {"strike at promise", 50}, {"strike at join", 50}, {"strike at establish", 50}, {"strike at up to date", 50},
	{"strike at renew", 50}, {"strike at leave", 50}, {"strike at cut", 50}, {"strike at commit", 50}, {"strike at readmit", 50},
	{"strike at readmitted", 50}, {"strike at count", 50}, {"strike at DIFF", 50},
	{"torn tail cut", 100}, {"unclean start carried records over", 100}, {"power loss in the middle of an append", 100}, {"segment rolled", 600},
	{"DIFF from the log", 100}, {"log with a gap", 20}, {"snapshot resumed", 20},
	{"part of an earlier run used again", 0}, // the states are too small: TestPartOfEarlierRun comes to it
	{"segment let go", 300}, {"crash between the two slots", 50},
	{"images after a loss of power", 300}, {"snapshot kept", 600}, {"snapshot not kept", 10}, {"crash while a snapshot is kept", 50}, {"start from a snapshot of its own", 100},
	{"start passed over a snapshot", 20}, {"sync failed once", 20}, {"flush on a stalled disk", 100}, {"log on a full disk", 10}, {"start on a full disk", 5},
	{"damage: log flipped", 20}, {"damage: log zeroed", 20}, {"damage: log stale", 10}, {"damage: log unreadable", 10}, {"damage: segment removed", 10},
	{"damage: slot flipped", 10}, {"damage: slot unreadable", 10}, {"damage: both slots flipped", 10}, {"damage: snapshot flipped", 10},
	{"damage: snapshot unreadable", 10}, {"damage: snapshot removed", 10}, {"damage: all snapshots flipped", 5}, {"damaged disk replaced", 100},
	{"refused by an ACL", 300}, {"invalid ACL", 100}, {"refused by a quota", 100}, {"reaped", 300}, {"not reaped", 300}, {"ACL set", 300}, {"parents made", 300},
	{"watch event", 10000}, {"watch told of what it missed", 300}, {"gap of a lasting watch", 300}, {"watched while something happened", 1000},
	{"looked for what is due", 300}, {"read refused by an ACL", 300}, {"TTL given", 300}, {"subtree deleted", 100},
	{"session renewed", 10000}, {"session expired", 1000}, {"session closed", 300}, {"session moved", 600}, {"own session expired", 10}, {"ephemeral created", 1000},
	{"ephemerals gone with their session", 600}, {"renewed across a change of leader", 100}, {"resumed after its member was lost", 100}, {"resume refused", 100},
	{"wrong password refused", 100}, {"came back to a former member", 50}, {"former owner told of a move", 300}, {"close answered", 100}, {"context lapsed", 300},
	{"session lost in a snapshot", 0}, {"session ended with a create under way", 100}, {"session moved with a call under way where it was", 100},
	{"disk lost beyond the budget", 20}, {"halted for good", 10},
	{"leader established by groups", 100}, {"committed by no majority", 100}, {"committed without a voter without weight", 100},
	{"promise of a fresher voter without weight", 1},
	{"damaged disk that says nothing replaced", 1}, {"snapshot lost", 10}, {"damage without loss", 50}, {"damage in the blind spot", 5},
}

var goalIndex = func() map[string]int {
	m := map[string]int{}
	for i, g := range goals {
		m[g.name] = i
	}
	return m
}()

func (w *World) cover(name string) {
	i, ok := goalIndex[name]
	if !ok {
		panic("sim: no goal " + name)
	}
	w.covered[i]++
}

// coverIf counts what happened n times, and forgets it.
func (w *World) coverIf(name string, n *int) {
	for ; *n > 0; *n-- {
		w.cover(name)
	}
}

// tame returns the goals that were missed by runs of so many seeds.
func tame(c *Cover, seeds int) (missed []string) {
	for i, g := range goals {
		if c[i] < g.min*seeds/600 {
			missed = append(missed, g.name)
		}
	}
	slices.Sort(missed)
	return missed
}
