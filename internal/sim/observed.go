package sim

import (
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// delivery is one call of Apply, Advance or Install.
type delivery struct {
	zxid    zab.Zxid
	hash    uint64
	data    bool
	install bool
	digest  uint64 // afterwards
}

// observed is a state machine whose deliveries are written down, for the checks after the step.
type observed struct {
	inner     *registers
	delivered []delivery
}

func (o *observed) Prepare(z zab.Zxid, wall int64, c core.Call) ([]byte, bool) {
	return o.inner.Prepare(z, wall, c)
}

func (o *observed) PrepareOpen(z zab.Zxid, wall int64, owner quorum.ID, run zab.Incarnation) ([]byte, bool) {
	return o.inner.PrepareOpen(z, wall, owner, run)
}

func (o *observed) Apply(z zab.Zxid, txn []byte) (core.Outcome[any], error) {
	h := hashEntry(&zab.Entry{Zxid: z, Kind: zab.EntryData, Data: txn})
	r, err := o.inner.Apply(z, txn)
	o.delivered = append(o.delivered, delivery{zxid: z, hash: h, data: true, digest: o.inner.Digest()})
	return r, err
}

func (o *observed) Advance(z zab.Zxid) {
	o.inner.Advance(z)
	o.delivered = append(o.delivered, delivery{zxid: z, digest: o.inner.Digest()})
}

func (o *observed) Install(state any) {
	o.inner.Install(state)
	o.delivered = append(o.delivered, delivery{zxid: o.inner.zxid, install: true, digest: o.inner.Digest()})
}

func (o *observed) Abandon()                                            { o.inner.Abandon() }
func (o *observed) View() any                                           { return o.inner.View() }
func (o *observed) Digest() uint64                                      { return o.inner.Digest() }
func (o *observed) Snapshot(chunk int) zab.SnapshotReader               { return o.inner.Snapshot(chunk) }
func (o *observed) Decode(chunks [][]byte) (any, error)                 { return o.inner.Decode(chunks) }
func (o *observed) Decided(c core.Call) (core.Outcome[any], bool)       { return o.inner.Decided(c) }
func (o *observed) Find(id quorum.ID, r zab.Incarnation) (uint64, bool) { return o.inner.Find(id, r) }
