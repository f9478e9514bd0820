package sim

import (
	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

type (
	machine = core.Machine[*datatree.View, core.Result]
	output  = core.Output[*datatree.View, core.Result]
	reply   = core.Reply[core.Result]
)

// delivery is one call of Apply, Advance or Install.
type delivery struct {
	zxid    zab.Zxid
	hash    uint64
	data    bool
	install bool
	digest  uint64 // afterwards
	outcome core.Outcome[core.Result]
}

// observed is the state machine of a member, whose deliveries are written down, for the checks after the step.
type observed struct {
	*core.Znodes
	delivered []delivery
	opens     func(zab.Incarnation) // told the name of the run for which this member asks a session of itself
	self      quorum.ID
	spoilt    uint64         // not 0: the state is wrong
	mayBe     func() bool    // whether the ensemble can do without this member's memory
	unseen    *datatree.View // given out, and no output with it was carried out yet
	prepared  []zab.Zxid     // what it takes for outstanding, ascending
	judged    func(z, at zab.Zxid)
}

func (o *observed) PrepareOpen(z zab.Zxid, wall int64, owner quorum.ID, run zab.Incarnation, timeout uint32) ([]byte, bool) {
	if owner == o.self {
		o.opens(run)
	}
	txn, ok := o.Znodes.PrepareOpen(z, wall, owner, run, timeout)
	if ok {
		o.prepared = append(o.prepared, z)
	}
	return txn, ok
}

func (o *observed) PrepareEnd(z zab.Zxid, wall int64) ([]byte, bool) {
	txn, ok := o.Znodes.PrepareEnd(z, wall)
	if ok {
		o.prepared = append(o.prepared, z)
	}
	return txn, ok
}

func (o *observed) Prepare(z zab.Zxid, wall int64, c core.Call) ([]byte, bool) {
	var who *datatree.Caller
	who, c.Payload = opened(c.Payload)
	txn, ok := o.Znodes.PrepareFor(who, z, wall, c)
	if ok {
		o.judged(z, o.Tree().Zxid())
		o.prepared = append(o.prepared, z)
	}
	return txn, ok
}

func (o *observed) Decided(c core.Call) (core.Outcome[core.Result], bool) {
	_, c.Payload = opened(c.Payload)
	return o.Znodes.Decided(c)
}

func (o *observed) Abandon() {
	o.Znodes.Abandon()
	o.prepared = nil
}

// settled forgets what is applied, or was never to be.
func (o *observed) settled(z zab.Zxid) {
	for len(o.prepared) > 0 && o.prepared[0] <= z {
		o.prepared = o.prepared[1:]
	}
}

// outstanding returns the last that was prepared and neither applied nor abandoned.
func (o *observed) outstanding() zab.Zxid {
	if k := len(o.prepared); k > 0 {
		return o.prepared[k-1]
	}
	return 0
}

func (o *observed) Apply(z zab.Zxid, txn []byte) (core.Outcome[core.Result], error) {
	h := hashEntry(&zab.Entry{Zxid: z, Kind: zab.EntryData, Data: txn})
	r, err := o.Znodes.Apply(z, txn)
	o.settled(z)
	o.delivered = append(o.delivered, delivery{zxid: z, hash: h, data: true, digest: o.Znodes.Digest(), outcome: r})
	return r, err
}

func (o *observed) Advance(z zab.Zxid) {
	o.Znodes.Advance(z)
	o.settled(z)
	o.delivered = append(o.delivered, delivery{zxid: z, digest: o.Znodes.Digest()})
}

func (o *observed) Install(state any) {
	s := state.(spoiltState)
	o.Znodes.Install(s.state)
	o.spoilt = 0
	if s.spoilt && o.mayBe() {
		o.spoilt = 1
	}
	o.prepared = nil
	o.delivered = append(o.delivered, delivery{zxid: o.Tree().Zxid(), install: true, digest: o.Znodes.Digest()})
}

// View lets go of the one before, if nobody got to see it.
func (o *observed) View() *datatree.View {
	if o.unseen != nil {
		o.unseen.Release()
	}
	o.unseen = o.Znodes.View()
	return o.unseen
}
