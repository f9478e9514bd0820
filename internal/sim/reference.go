package sim

import (
	"fmt"
	"sort"

	"github.com/ensemble-go/ensemble/zab"
)

// version of one register in the reference: its state from zxid on.
type version struct {
	from  zab.Zxid
	value register
}

// expected is what the reference says of one request.
type expected struct {
	times   int
	zxid    zab.Zxid
	err     error
	result  Result
	session uint64
	seq     uint64
}

// reference judges every committed request anew, one after the other, and keeps all states there ever were. It shares no code with registers but the
// encoding of transactions.
type reference struct {
	at   [keys][]version
	next uint32
	byID map[uint64]*expected
	last map[uint64]uint64 // session: last sequence
}

func newReference() *reference {
	return &reference{byID: map[uint64]*expected{}, last: map[uint64]uint64{}}
}

func (f *reference) get(k uint8) register {
	if h := f.at[k]; len(h) > 0 {
		return h[len(h)-1].value
	}
	return register{}
}

// asOf returns register k as it was at z.
func (f *reference) asOf(k int, z zab.Zxid) register {
	h := f.at[k]
	i := sort.Search(len(h), func(i int) bool { return h[i].from > z })
	if i == 0 {
		return register{}
	}
	return h[i-1].value
}

// commit takes the next committed transaction.
func (f *reference) commit(z zab.Zxid, txn []byte) error {
	p, ok := parse(txn)
	if !ok {
		return fmt.Errorf("inv/C3: %v is not a transaction of the workload", z)
	}
	if p.open {
		f.last[uint64(z)] = 0
		return nil
	}
	if e := f.byID[p.op.id]; e != nil {
		return fmt.Errorf("inv/C1: request %d is committed at %v and again at %v", p.op.id, e.zxid, z)
	}
	if want := f.last[p.name.Session] + 1; p.name.Sequence != want {
		return fmt.Errorf("inv/C4: session %x commits sequence %d at %v, want %d", p.name.Session, p.name.Sequence, z, want)
	}
	f.last[p.name.Session] = p.name.Sequence
	r, e := f.get(p.op.key), &expected{times: 1, zxid: z, session: p.name.Session, seq: p.name.Sequence}
	e.result = Result{ID: p.op.id, Zxid: z}
	put := func(k uint8, r register) { f.at[k] = append(f.at[k], version{z, r}) }
	switch p.op.kind {
	case opCreate:
		if r.exists {
			e.err = errExists
		} else {
			put(p.op.key, register{true, 0, p.op.id, z})
		}
	case opSet, opDelete:
		if !r.exists {
			e.err = errNone
		} else if p.op.version >= 0 && p.op.version != r.version {
			e.err = errVersion
		} else if p.op.kind == opDelete {
			put(p.op.key, register{})
		} else {
			e.result.Version = r.version + 1
			put(p.op.key, register{true, r.version + 1, p.op.id, r.czxid})
		}
	case opNext:
		f.next++
		e.result.Number = f.next
	case opPair:
		for _, k := range []uint8{pairA, pairB} {
			q := f.get(k)
			if q.exists {
				q.version++
				q.value = p.op.id
			} else {
				q = register{true, 0, p.op.id, z}
			}
			put(k, q)
		}
	}
	if e.err != verdicts[p.verdict] {
		return fmt.Errorf("inv/C3: request %d at %v is proposed with verdict %v, the reference says %v", p.op.id, z, verdicts[p.verdict], e.err)
	}
	if e.err == nil && p.op.kind == opNext && e.result.Number != p.number {
		return fmt.Errorf("inv/C3: sequential create %d at %v has number %d, the reference says %d", p.op.id, z, p.number, e.result.Number)
	}
	f.byID[p.op.id] = e
	return nil
}

// check compares a state for readers with the reference.
func (f *reference) check(v *view) error {
	count := 0
	for k := range v.regs {
		if want := f.asOf(k, v.zxid); v.regs[k] != want {
			return fmt.Errorf("inv/C5: register %d at %v is %+v, the reference says %+v", k, v.zxid, v.regs[k], want)
		}
		if v.regs[k].exists {
			count++
		}
	}
	if a, b := v.regs[pairA], v.regs[pairB]; a != b {
		return fmt.Errorf("inv/C12: the pair is torn at %v: %+v, %+v", v.zxid, a, b)
	}
	return nil
}
