package election

import (
	"fmt"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// State is what a member does. The values are those of ZooKeeper's notifications.
type State uint8

// The states.
const (
	Looking State = iota
	Following
	Leading
	Observing
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case Looking:
		return "looking"
	case Following:
		return "following"
	case Leading:
		return "leading"
	case Observing:
		return "observing"
	}
	return "unknown"
}

// Notification is what a member says about itself. It is complete: the newest on a link replaces all before it. Once sent
// it is shared and read-only.
type Notification struct {
	State State
	// Vote is for the candidate while Looking, and names the leader otherwise. When the epoch is established it is
	// {leader, epoch, 0} on every member, however each came to follow.
	Vote  Vote
	Round uint64 // groups the votes of one election; not durable
	// Established is the epoch of the leader from the moment it is established, and 0 before and while Looking.
	Established uint32
	// Ask says that the sender does not vote, being blank or an observer, and, while Looking, only wants to know.
	Ask bool
}

// String returns the notification on one line.
func (n Notification) String() string {
	s := fmt.Sprintf("%v %v round %d", n.State, n.Vote, n.Round)
	if n.Established != 0 {
		s += fmt.Sprintf(" established %d", n.Established)
	}
	if n.Ask {
		s += " ask"
	}
	return s
}

func (n *Notification) valid() bool {
	return n != nil && n.State <= Observing && n.Established <= zab.MaxEpoch && (n.State != Looking || n.Established == 0)
}

// Send is one notification to one peer, over the link to it.
type Send struct {
	To           quorum.ID
	Notification *Notification
}

// Output is what a step asks of the host. The machine only appends to it.
type Output struct {
	Sends []Send
	// Elected is the decision, or 0: stand if it is this member, follow it otherwise. It is given once, and the machine
	// waits for Settle or Look.
	Elected quorum.ID
}

// Reset empties the output and keeps its memory.
func (o *Output) Reset() {
	clear(o.Sends)
	o.Sends, o.Elected = o.Sends[:0], 0
}
