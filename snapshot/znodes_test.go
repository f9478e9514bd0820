package snapshot

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

const maxData = 1 << 20

// member is a state machine with the log of what was applied to it.
type member struct {
	*core.Znodes
	zxid zab.Zxid
	seq  uint64
	log  []entry
}

type entry struct {
	zxid zab.Zxid
	txn  []byte
}

func newMember() (*member, error) {
	m := &member{Znodes: core.NewZnodes(maxData), zxid: zab.MakeZxid(1, 1)}
	txn, ok := m.PrepareOpen(m.zxid, 5, 1, zab.Incarnation{1}, 0)
	if !ok {
		return nil, fmt.Errorf("no session")
	}
	_, err := m.Apply(m.zxid, txn)
	m.log = append(m.log, entry{m.zxid, txn})
	return m, err
}

// do makes one transaction of ops, which may be refused.
func (m *member) do(multi bool, ops ...datatree.Op) error {
	payload, err := datatree.AppendOps(nil, ops, multi, maxData)
	if err != nil {
		return err
	}
	m.zxid++
	m.seq++
	name := core.Name{Session: uint64(zab.MakeZxid(1, 1)), Sequence: m.seq}
	txn, ok := m.Prepare(m.zxid, int64(m.zxid), core.Call{Name: name, Low: m.seq, Payload: payload})
	if !ok {
		return fmt.Errorf("request %d not taken", m.seq)
	}
	m.log = append(m.log, entry{m.zxid, txn})
	_, err = m.Apply(m.zxid, txn)
	return err
}

// random makes one transaction in a small space of paths, so that most meet something that is there.
func (m *member) random(r *rand.Rand) error {
	op := func() datatree.Op {
		path := []string{"/a", "/b", "/a/x", "/a/y", "/b/z"}[r.IntN(5)]
		switch r.IntN(7) {
		case 0, 1:
			return datatree.CreateOp{Path: path, Data: []byte{byte(r.Uint32())}}
		case 2:
			return datatree.CreateOp{Path: path + "-", Mode: datatree.Sequential}
		case 3:
			return datatree.DeleteOp{Path: path}
		default:
			return datatree.SetOp{Path: path, Data: make([]byte, r.IntN(200))}
		}
	}
	if r.IntN(3) == 0 {
		return m.do(true, op(), op(), op())
	}
	return m.do(false, op())
}

func (m *member) meta() Meta {
	return Meta{Ensemble: testEnsemble, Zxid: m.zxid, Pos: uint64(m.zxid.Counter()), Spans: []zab.Span{{Epoch: 1, Last: m.zxid.Counter()}}}
}

// decode reads a state.
func decode(r *Reader) (*core.Znodes, error) {
	var chunks [][]byte
	for {
		c, err := r.Chunk()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
	z := core.NewZnodes(maxData)
	state, err := z.Decode(chunks)
	if err != nil {
		return nil, err
	}
	z.Install(state)
	return z, nil
}
