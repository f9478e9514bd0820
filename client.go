package ensemble

import (
	"context"
	"errors"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Client reads and writes the tree. A Node and a Session are Clients. It may gain methods: embed it in fakes.
//
// Reads are local and need no quorum: a member that is cut off serves what it has. Only before the first readiness of a run do they wait.
// Writes and Sync wait for a quorum until ctx ends. All methods may be called from many goroutines; those of one goroutine take effect in order.
//
// Data that is passed in is copied before the method returns, also by Submit; data that is handed out belongs to the tree and is read-only.
//
// A refused op gives an *OpError, which wraps what was wrong. Every method can give ErrClosed, for a path ErrBadPath and, on a Session, ErrNoAuth and what its
// Context has ended with. Every read gives ErrImpaired while this member's state is known to be wrong. Every write and Sync gives ErrOverloaded when too much waits; when
// ctx ends first, a write gives its error joined with ErrNoQuorum, and nothing happened, or with ErrUncertain. The methods name the rest.
type Client interface {
	// Create makes a znode and returns its path, with its number if the mode is Sequential. It gives ErrNodeExists, ErrNoNode if there is no parent,
	// ErrNoChildrenForEphemerals, ErrTooLarge, ErrBadArguments, ErrQuotaExceeded and ErrSequenceExhausted.
	Create(ctx context.Context, path string, data []byte, mode Mode) (string, error)
	// Get returns the znode at path, or ErrNoNode. Its Data is read-only.
	Get(ctx context.Context, path string) (Znode, error)
	// Exists returns the Stat of the znode at path, if there is one. That there is none is no error.
	Exists(ctx context.Context, path string) (Stat, bool, error)
	// Children returns the names of the children of path, sorted bytewise, or ErrNoNode.
	Children(ctx context.Context, path string) ([]string, error)
	// Set replaces the data of a znode, if its version is v. It gives ErrNoNode, ErrBadVersion, ErrTooLarge and ErrQuotaExceeded.
	Set(ctx context.Context, path string, data []byte, v Version) (Stat, error)
	// Delete removes a znode that has no children, if its version is v. It gives ErrNoNode, ErrBadVersion, ErrNotEmpty and, for a znode that always is there,
	// ErrBadArguments.
	Delete(ctx context.Context, path string, v Version) error
	// ACL returns the ACL of the znode at path, and its Stat, or ErrNoNode. A Session needs PermRead or PermAdmin; without PermAdmin it sees "user:x" for what
	// DigestID made.
	ACL(ctx context.Context, path string) ([]ACL, Stat, error)
	// Do carries out a write: Submit and Wait. What the ops add to the errors of Create, Set and Delete, their types tell.
	Do(ctx context.Context, op Op) (Result, error)
	// Submit begins a write and never blocks; if it was not taken, such as with ErrOverloaded, Wait says so. What one goroutine submits takes
	// effect in order.
	Submit(op Op) *Pending
	// Multi carries out all ops or none, in order and at one zxid. If an op is refused it returns nil and an *OpError whose Index is the first that was. One that is
	// too large as a whole is ErrTooLarge with Index -1: see Config.MaxData.
	Multi(ctx context.Context, ops ...Op) ([]Result, error)
	// Sync returns when a quorum has confirmed, by a round begun after the call, that this node is up to date: later reads here see every write
	// that was acknowledged anywhere before the call. It returns the zxid up to which that is so.
	Sync(ctx context.Context) (Zxid, error)
	// Watch returns a Watcher of path, which need not exist. It begins at the state of this node, before Watch returns; that is a read, so for a
	// state that is fresh call Sync first. The end of ctx ends the Watcher. It gives ErrBadArguments for a mode that is none, and ErrOverloaded.
	//
	// A Watcher of a Session leaves out what the identities that the session has now may not read, of the znode as it is or as it was; a later AddAuth changes nothing of
	// that. That it may not read is no error of Watch. Its View shows everything, as every View does.
	Watch(ctx context.Context, path string, mode WatchMode) (*Watcher, error)
	// WatchFrom is Watch with what happened after a transaction before all else. It waits until that is applied here, and fails with ErrWatchGap if what followed
	// is not all known any more: see Config.WatchHistory.
	WatchFrom(ctx context.Context, path string, mode WatchMode, after Zxid) (*Watcher, error)
	// Session is the session that the calls belong to.
	Session() *Session
}

var (
	_ Client = (*Node)(nil)
	_ Client = (*Session)(nil)
)

// client has the methods that Node and Session share.
type client struct {
	h *host
	s *Session // nil: whatever is the node's own
}

// reader returns the tree as soon as this node has served once, and who reads: nil for the host.
func (c client) reader(ctx context.Context) (*datatree.Tree, *datatree.Caller, error) {
	t, err := c.h.reader(ctx)
	if err != nil || c.s == nil {
		return t, nil, err
	}
	return t, c.s.caller(), c.s.alive()
}

// denied is the error of a read.
func denied(op, path string, err error) error {
	if bad := datatree.CheckPath(path); bad != nil {
		err = bad
	}
	return &OpError{Op: op, Path: path, Index: -1, Err: err}
}

// reader returns the tree as soon as this node has served once.
func (h *host) reader(ctx context.Context) (*datatree.Tree, error) {
	if h.serves.Load() {
		return h.tree.Load(), nil
	}
	select {
	case <-h.done:
		return nil, h.closedErr()
	default:
	}
	if h.impaired.Load() {
		return nil, ErrImpaired
	}
	select {
	case <-h.served:
		return h.tree.Load(), nil
	case <-h.done:
		return nil, h.closedErr()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), ErrNoQuorum)
	}
}

// absent is the error for a path that has no znode.
func absent(op, path string) error {
	if err := datatree.CheckPath(path); err != nil {
		return &OpError{Op: op, Path: path, Index: -1, Err: err}
	}
	return &OpError{Op: op, Path: path, Index: -1, Err: ErrNoNode}
}

// Get returns the znode at path. It allocates nothing. See Client.
func (c client) Get(ctx context.Context, path string) (z Znode, err error) {
	err = c.get(ctx, path, &z)
	return z, err
}

// Get returns the znode at path. It allocates nothing. See Client.
//
// It is what Node would have of client anyway, but for a copy of the Znode.
func (n *Node) Get(ctx context.Context, path string) (z Znode, err error) {
	err = n.get(ctx, path, &z)
	return z, err
}

// get is Get into z, which it leaves as it is if there is an error.
func (c client) get(ctx context.Context, path string, z *Znode) error {
	t, who, err := c.reader(ctx)
	switch {
	case err != nil:
		return err
	case who != nil:
		return readAs(t, who, path, z)
	case !t.Read(path, z):
		return absent("get", path)
	}
	return nil
}

func readAs(t *datatree.Tree, who *datatree.Caller, path string, z *Znode) error {
	v := t.View()
	defer v.Release()
	found, err := v.For(who).Get(path)
	if err != nil {
		return denied("get", path, err)
	}
	*z = found
	return nil
}

// Exists returns the Stat of the znode at path, if there is one. See Client.
func (c client) Exists(ctx context.Context, path string) (Stat, bool, error) {
	t, who, err := c.reader(ctx)
	if err != nil {
		return Stat{}, false, err
	}
	if who != nil {
		v := t.View()
		defer v.Release()
		stat, err := v.For(who).Exists(path)
		if err != nil && (!errors.Is(err, ErrNoNode) || datatree.CheckPath(path) != nil) {
			return Stat{}, false, denied("exists", path, err)
		}
		return stat, err == nil, nil
	}
	z, ok := t.Get(path)
	if !ok {
		if err := absent("exists", path); !errors.Is(err, ErrNoNode) {
			return Stat{}, false, err
		}
	}
	return z.Stat, ok, nil
}

// Children returns the sorted names of the children of path. See Client.
func (c client) Children(ctx context.Context, path string) ([]string, error) {
	t, who, err := c.reader(ctx)
	if err != nil {
		return nil, err
	}
	v := t.View()
	defer v.Release()
	if who != nil {
		names, _, err := v.For(who).Children(path)
		if err != nil {
			return nil, denied("children", path, err)
		}
		return names, nil
	}
	names, ok := v.ChildNames(path)
	if !ok {
		return nil, absent("children", path)
	}
	return names, nil
}

// ACL returns the ACL of the znode at path, and its Stat. See Client.
func (c client) ACL(ctx context.Context, path string) ([]ACL, Stat, error) {
	t, who, err := c.reader(ctx)
	if err != nil {
		return nil, Stat{}, err
	}
	if err := datatree.CheckPath(path); err != nil {
		return nil, Stat{}, absent("getACL", path)
	}
	v := t.View()
	defer v.Release()
	list, stat, err := v.For(who).ACL(path)
	if err != nil {
		return nil, Stat{}, denied("getACL", path, err)
	}
	return list, stat, nil
}

// Create makes a znode and returns its path. See Client.
func (c client) Create(ctx context.Context, path string, data []byte, mode Mode) (string, error) {
	r, err := c.Do(ctx, CreateOp{Path: path, Data: data, Mode: mode})
	return r.Path, err
}

// Set replaces the data of a znode. See Client.
func (c client) Set(ctx context.Context, path string, data []byte, v Version) (Stat, error) {
	r, err := c.Do(ctx, SetOp{Path: path, Data: data, Version: v})
	return r.Stat, err
}

// Delete removes a znode. See Client.
func (c client) Delete(ctx context.Context, path string, v Version) error {
	_, err := c.Do(ctx, DeleteOp{Path: path, Version: v})
	return err
}

// Do carries out a write. See Client.
func (c client) Do(ctx context.Context, op Op) (Result, error) {
	p := c.h.borrow(write)
	if err := c.encode(p, false, op); err != nil {
		c.h.giveBack(p)
		return Result{}, err
	}
	r, _, err := c.h.do(ctx, p)
	if err != nil {
		return Result{}, refusal(err, op)
	}
	return r.First, nil
}

// Submit begins a write. See Client.
func (c client) Submit(op Op) *Pending {
	p := &call{kept: true, done: make(chan struct{})}
	if p.err = c.encode(p, false, op); p.err == nil {
		if err := c.h.enqueue(p); err != nil {
			p.err = err
		} else {
			return &Pending{c.h, p, op}
		}
	}
	p.finish()
	return &Pending{c.h, p, op}
}

// Multi carries out all ops or none. See Client.
func (c client) Multi(ctx context.Context, ops ...Op) ([]Result, error) {
	p := c.h.borrow(write)
	if err := c.encode(p, true, ops...); err != nil {
		c.h.giveBack(p)
		return nil, err
	}
	r, _, err := c.h.do(ctx, p)
	switch {
	case err != nil:
		return nil, refusal(err, ops...)
	case len(ops) == 0:
		return []Result{}, nil
	}
	return append([]Result{r.First}, r.Rest...), nil
}

// Sync returns when a quorum has confirmed that this node is up to date. See Client.
func (c client) Sync(ctx context.Context) (Zxid, error) {
	if c.s != nil {
		if err := c.s.alive(); err != nil {
			return 0, err
		}
	}
	_, z, err := c.h.do(ctx, c.h.borrow(syncing))
	if err == nil && c.s != nil && !mutant.On("sync-of-moved") {
		if err := c.s.alive(); err != nil { // no read on the session can follow
			return 0, err
		}
	}
	return z, err
}

// encode makes c's payload, which is the machine's until the call is answered. It copies the ops' data, on the goroutine of the caller.
func (x client) encode(c *call, multi bool, ops ...Op) (err error) {
	h, size := x.h, 24
	var who *datatree.Caller
	if x.s != nil {
		if err := x.s.alive(); err != nil {
			return err
		}
		c.s, who = x.s, x.s.caller()
	}
	for i, op := range ops {
		switch o := op.(type) {
		case CreateOp:
			size += len(o.Path) + len(o.Data) + 24 + datatree.ACLSize(o.ACL)
		case SetACLOp:
			size += len(o.Path) + 24 + datatree.ACLSize(o.ACL)
		case SetOp:
			size += len(o.Path) + len(o.Data) + 24
		case DeleteOp:
			size += len(o.Path) + 24
		case CheckOp:
			size += len(o.Path) + 32
		case datatree.ReapOp, datatree.CloseSessionOp: // those of a node itself: they would take what a session holds
			name, path := datatree.NameOf(op)
			if !multi {
				i = -1
			}
			return &OpError{Op: name, Path: path, Index: i, Err: ErrBadArguments}
		}
	}
	if size > min(4*h.cfg.MaxData, mostRequest)+requestSlack {
		large := &OpError{Op: "multi", Index: -1, Err: ErrTooLarge}
		if !multi {
			large.Op, large.Path = datatree.NameOf(ops[0])
		}
		return large
	}
	if cap(c.payload) < size {
		c.payload = make([]byte, 0, size)
	}
	c.payload = c.payload[:0]
	if who != nil {
		c.payload = core.AppendAs(c.payload, who.Identities)
	}
	c.payload, err = datatree.AppendOps(c.payload, ops, multi, h.cfg.MaxData)
	return err
}

// requestSlack is for the paths of a request, beside its data.
const requestSlack = 256 << 10
