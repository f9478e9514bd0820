package golden

import (
	"errors"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// Trees are a subject: a tree that prepares and applies, with its watches, and one that only applies.
type Trees struct {
	Sessions
	all   [2]*datatree.Tree
	zxid  zab.Zxid
	clock int64
	also  func(*datatree.Tree) error
}

// NewTrees returns empty ones. also is asked about the first after every step; nil is nobody.
func NewTrees(h *Header, also func(*datatree.Tree) error) *Trees {
	t := &Trees{Sessions: NewSessions(h), all: [2]*datatree.Tree{datatree.New(2 << 20), datatree.New(2 << 20)}, also: also}
	for _, tree := range t.all {
		tree.AddScheme("digest", datatree.Digest{Super: h.Config.SuperDigest})
	}
	return t
}

// Step is told the time.
func (t *Trees) Step(clock int64) { t.clock = clock }

// Open begins a connection.
func (t *Trees) Open(s int, identities ...datatree.Identity) {
	t.Connect(s, t.all[0].Watch(), identities)
}

// Authenticate adds what a credential proves.
func (t *Trees) Authenticate(s int, scheme string, credential []byte) bool {
	return t.all[0].Authenticate(t.Caller(s), scheme, credential)
}

// Reader returns a view.
func (t *Trees) Reader(int) *datatree.View { return t.all[1].View() }

// Ephemerals returns those of a session.
func (t *Trees) Ephemerals(s int) []string { return t.all[1].Ephemerals(t.Caller(s).Session) }

// Write prepares, and applies to both.
func (t *Trees) Write(s int, ops []datatree.Op, multi, refused bool) (zab.Zxid, [][]datatree.Result, error) {
	t.zxid++
	who := t.Caller(s)
	b, err := datatree.AppendOps(nil, ops, multi, 2<<20)
	if err != nil {
		if _, err = t.all[0].PrepareFor(who, t.zxid, t.clock, ops, multi, nil); err == nil {
			return 0, nil, errors.New("prepared what is refused before it is sent")
		}
		return 0, nil, err
	}
	txn, err := t.all[0].PrepareRequestFor(who, t.zxid, t.clock, b, nil)
	if err != nil {
		return 0, nil, err
	}
	if refused {
		t.all[0].Abandon()
		return 0, nil, nil
	}
	return t.apply(txn)
}

func (t *Trees) apply(txn []byte) (z zab.Zxid, results [][]datatree.Result, err error) {
	for _, tree := range t.all {
		r, err := tree.Apply(t.zxid, t.clock, txn)
		if err != nil {
			return 0, nil, err
		}
		results = append(results, r)
	}
	return t.zxid, results, nil
}

// host prepares and applies an operation of the host.
func (t *Trees) host(op datatree.Op) (zab.Zxid, error) {
	t.zxid++
	txn, err := t.all[0].Prepare(t.zxid, t.clock, []datatree.Op{op}, false, nil)
	if err != nil {
		return 0, err
	}
	z, _, err := t.apply(txn)
	return z, err
}

// End lets the ephemerals of a session go.
func (t *Trees) End(s int) (zab.Zxid, error) {
	return t.host(datatree.CloseSessionOp{Session: t.Caller(s).Session})
}

// Reap removes what is due.
func (t *Trees) Reap() (paths []string, zxids []zab.Zxid, err error) {
	for _, op := range t.all[0].Due(t.clock) {
		z, err := t.host(op)
		if err != nil {
			return nil, nil, err
		}
		paths, zxids = append(paths, op.Path), append(zxids, z)
	}
	return paths, zxids, nil
}

// Check compares the digests of both.
func (t *Trees) Check() error {
	if t.all[0].Digest() != t.all[1].Digest() {
		return errors.New("digests differ")
	}
	if t.also != nil {
		return t.also(t.all[0])
	}
	return nil
}
