package ensemble

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/session"
	"github.com/ensemble-go/ensemble/transport"
)

// Config describes one member of an ensemble. The zero value of a field means its default.
type Config struct {
	// Name of the ensemble: members of another name are refused. At most 255 bytes; "" is a name too.
	Name string
	// ID of this member: 1 or more, and one of Members.
	ID ID
	// Members are the founders, the same list on each of them. It is used once: the data directory holds the membership from then on, and of a list that
	// differs only the addresses of members that are known are used; the Logger is told. Without Dir it is used at each start, and must be the same each time: members
	// whose lists differ, addresses aside, do not speak to each other. The membership cannot be changed yet.
	Members []Member
	// Join says that the ensemble exists: this member never takes part in its birth. It matters to an empty Dir only, or none, with which the member waits for
	// a leader, as a blank one. When to set it: see the table in the README.
	Join bool
	// Transport moves frames to and from the other members. The node starts it and closes it. It may be nil for an ensemble of one.
	Transport transport.Transport
	// Dir is the data directory of this member and of nobody else; it is made if it is not there. "" keeps everything in memory: then the
	// member has forgotten all when it ends, and comes back blank. See DirError for what Open may find wrong with it. A directory must never be
	// set back to an older copy of itself.
	Dir string
	// SnapshotBytes is after how much growth of the log the tree is written to a snapshot, 64 MiB by default, 4 KiB at least. A start reads the newest
	// snapshot, and the log as far back as the oldest that is kept.
	SnapshotBytes int64
	// SnapshotsKept is how many snapshots are kept, with the log from the oldest of them on: 3 by default, 100 at most.
	SnapshotsKept int

	// Tick is the unit of the protocol's time, 50 ms by default; from 1 ms to 1 min.
	Tick time.Duration
	// InitLimit is how many ticks a member may take to join and synchronise, 200 by default; while bytes flow, it starts anew.
	InitLimit int
	// SyncLimit is after how many ticks without progress a peer counts as lost, 10 by default, 2 at least.
	SyncLimit int

	// SessionTimeout is that of the node's own session, 100 ticks by default: so long after the node was heard of last its session and its ephemerals end.
	SessionTimeout time.Duration
	// What sessions ask for, SessionTimeout too, is clamped to MinSessionTimeout and MaxSessionTimeout: 10 and 1200 ticks by default. No session has less than 6 ticks:
	// its renewals could not be confirmed in time. The most is 24 days.
	MinSessionTimeout, MaxSessionTimeout time.Duration

	// MaxData limits the data of one znode, in bytes: 1 MiB by default, 4 MiB at most. It limits the data of one request too, which may be a
	// Multi: four times MaxData, but never more than 4 MiB. A call above either is given ErrTooLarge. Why 4 MiB: a transport queues 8 MiB for a
	// peer, transport.QueueBytes, and drops what does not fit; so a request has to fit, with what is sent beside it, or it would never arrive.
	MaxData int
	// MaxInFlight limits the calls that wait at this node, 4096 by default, 1 << 20 at most. Above it, and for writes when 256 MiB of them wait,
	// calls are given ErrOverloaded.
	MaxInFlight int

	// WatchBuffer is how many events a Watcher may have that were not taken, 4096 by default, 1 << 20 at most: then it ends with ErrWatchOverflow.
	WatchBuffer int
	// WatchHistory is how many bytes of memory are kept of what happened, for WatchFrom: 16 MiB by default, 1 GiB at most; 1 keeps nothing.
	WatchHistory int

	// Logger gets what an operator may want to read; nil is silent.
	Logger *slog.Logger
	// Trace has hooks for what the node does; nil costs nothing. It must not be changed after Open.
	Trace *Trace
	// Seed of the jitter that keeps elections apart; 0 draws one. It may be the same on all members, whose IDs are mixed in, and repeat from run to run.
	Seed uint64

	_ struct{} // keyed literals only
}

// The limits of a Config.
const (
	defaultTick        = 50 * time.Millisecond
	defaultInitLimit   = 200
	defaultSyncLimit   = 10
	defaultMaxData     = 1 << 20
	defaultMaxInFlight = 4096

	defaultWatchBuffer  = 4096
	defaultWatchHistory = 16 << 20
	mostWatchBuffer     = 1 << 20
	mostWatchHistory    = 1 << 30

	defaultSnapshotBytes = 64 << 20
	defaultSnapshotsKept = 3
	leastSnapshotBytes   = 4 << 10
	mostSnapshots        = 100

	maxName     = 255
	mostData    = mostRequest
	mostRequest = 4 << 20 // data of one request: as a message, with a batch beside it, it must fit into what a transport queues, or it never arrives
	mostFlight  = 1 << 20
	maxLimit    = 1 << 20 // ticks
	shortTick   = time.Millisecond
	longTick    = time.Minute
	longSession = 24 * 24 * time.Hour
	leastTicks  = 6 // of a session
	tailBytes   = 16 << 20
	windowBytes = 8 << 20
	chunkBytes  = 32 << 10 // of a snapshot: less than a millisecond's work between two looks at who else waits, and it stays in the nearer caches
)

// ConfigError is one fault of a Config, or of RestoreOptions. Open, Bootstrap and Restore join all of them by errors.Join.
type ConfigError struct {
	Field string // such as "Members" or "Tick"
	Err   error  // what is wrong with it; for Members it may wrap a *quorum.ConfigError
}

// Error names the field, and what is wrong with it.
func (e *ConfigError) Error() string { return "config: " + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// What a ConfigError may wrap, besides the errors of package quorum.
var (
	errZeroID      = errors.New("must be 1 or more")
	errNotMember   = errors.New("is not among the members")
	errNoTransport = errors.New("is needed for more than one member")
)

// check returns every fault of c, joined.
func (c *Config) check() error {
	return errors.Join(c.faults(false)...)
}

// faults returns every fault of c. Offline it needs no transport.
func (c *Config) faults(offline bool) []error {
	var faults []error
	fault := func(bad bool, field string, err error) {
		if bad {
			faults = append(faults, &ConfigError{field, err})
		}
	}
	within := func(field string, v, least, most int) {
		fault(v != 0 && (v < least || v > most), field, fmt.Errorf("%d is not between %d and %d", v, least, most))
	}
	lasting := func(field string, v, least, most time.Duration) {
		fault(v != 0 && (v < least || v > most), field, fmt.Errorf("%v is not between %v and %v", v, least, most))
	}
	fault(len(c.Name) > maxName, "Name", fmt.Errorf("is longer than %d bytes", maxName))
	fault(c.ID == 0, "ID", errZeroID)
	member := false
	for _, m := range c.Members {
		member = member || m.ID == c.ID
	}
	fault(c.ID != 0 && !member, "ID", fmt.Errorf("%d %w", c.ID, errNotMember))
	for _, err := range split(quorum.Validate(c.Members)) {
		fault(true, "Members", err)
	}
	fault(!offline && c.Transport == nil && len(c.Members) > 1, "Transport", errNoTransport)
	fault(c.SnapshotBytes != 0 && c.SnapshotBytes < leastSnapshotBytes, "SnapshotBytes", fmt.Errorf("%d is below %d", c.SnapshotBytes, leastSnapshotBytes))
	within("SnapshotsKept", c.SnapshotsKept, 1, mostSnapshots)
	lasting("Tick", c.Tick, shortTick, longTick)
	within("InitLimit", c.InitLimit, 1, maxLimit)
	within("SyncLimit", c.SyncLimit, 2, maxLimit)
	fault(c.SessionTimeout < 0, "SessionTimeout", fmt.Errorf("%v is negative", c.SessionTimeout))
	fault(c.MinSessionTimeout < 0, "MinSessionTimeout", fmt.Errorf("%v is negative", c.MinSessionTimeout))
	fault(c.MaxSessionTimeout < 0, "MaxSessionTimeout", fmt.Errorf("%v is negative", c.MaxSessionTimeout))
	fault(c.MaxSessionTimeout > longSession, "MaxSessionTimeout", fmt.Errorf("%v is above %v", c.MaxSessionTimeout, longSession))
	if d := c.withDefaults(); d.MinSessionTimeout > 0 && d.MaxSessionTimeout > 0 {
		fault(d.MinSessionTimeout > d.MaxSessionTimeout, "MinSessionTimeout",
			fmt.Errorf("%v is above MaxSessionTimeout, %v", d.MinSessionTimeout, d.MaxSessionTimeout))
	}
	fault(c.MaxData != 0 && (c.MaxData < 1 || c.MaxData > mostData), "MaxData",
		fmt.Errorf("%d is not between 1 and %d, the most that one request may carry: it has to fit into the %d bytes that a transport queues for a peer", c.MaxData, mostData, transport.QueueBytes))
	within("MaxInFlight", c.MaxInFlight, 1, mostFlight)
	within("WatchBuffer", c.WatchBuffer, 1, mostWatchBuffer)
	within("WatchHistory", c.WatchHistory, 1, mostWatchHistory)
	return faults
}

// granted is the timeout that a session gets which asks for one.
func (c *Config) granted(asked time.Duration) uint32 {
	least := max(c.MinSessionTimeout, leastTicks*c.Tick)
	return uint32(session.Negotiate(asked, least, max(min(c.MaxSessionTimeout, longSession), least)).Milliseconds())
}

// split undoes errors.Join.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// withDefaults returns a copy of c, without zeros.
func (c *Config) withDefaults() Config {
	d := *c
	set(&d.Tick, defaultTick)
	set(&d.InitLimit, defaultInitLimit)
	set(&d.SyncLimit, defaultSyncLimit)
	set(&d.SessionTimeout, 100*d.Tick)
	set(&d.MinSessionTimeout, 10*d.Tick)
	set(&d.MaxSessionTimeout, 1200*d.Tick)
	set(&d.MaxData, defaultMaxData)
	set(&d.MaxInFlight, defaultMaxInFlight)
	set(&d.WatchBuffer, defaultWatchBuffer)
	set(&d.WatchHistory, defaultWatchHistory)
	set(&d.SnapshotBytes, defaultSnapshotBytes)
	set(&d.SnapshotsKept, defaultSnapshotsKept)
	for d.Seed == 0 {
		d.Seed = randomID()
	}
	d.Members = append([]Member(nil), d.Members...)
	if d.Trace == nil {
		d.Trace = new(Trace)
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
