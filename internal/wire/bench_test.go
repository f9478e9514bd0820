package wire

import (
	"bytes"
	"testing"

	"github.com/ensemble-go/ensemble/election"
	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/zab"
)

var benchmarks = []struct {
	name string
	m    any
}{
	{"Ack", &zab.Ack{Session: 1 << 60, Epoch: 7, Zxid: zab.MakeZxid(7, 100000), Joined: true, Counts: true}},
	{"Propose1", propose(1)},
	{"Propose64", propose(64)},
	{"Forward16", &core.Forward{Owner: 3, Calls: func() []core.Call {
		calls := make([]core.Call, 16)
		for i := range calls {
			calls[i] = core.Call{Name: core.Name{Session: 1 << 33, Generation: 1, Sequence: uint64(1000 + i)}, Low: 990, Payload: make([]byte, 100)}
		}
		return calls
	}()}},
	{"Chunk256K", &zab.Chunk{Session: 1 << 60, Index: 9, Data: bytes.Repeat([]byte{1}, 256<<10)}},
	{"Notification", &election.Notification{Round: 9}},
}

func propose(n int) *zab.Propose {
	p := &zab.Propose{Session: 1 << 60, Epoch: 7, Commit: zab.MakeZxid(7, 99990), Entries: make([]zab.Entry, n)}
	for i := range p.Entries {
		z := zab.MakeZxid(7, uint32(100000+i))
		p.Entries[i] = zab.Entry{Zxid: z, Prev: z - 1, Kind: zab.EntryData, Data: make([]byte, 128)}
	}
	return p
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = Append(buf[:0], c.m)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf, err := Append(nil, c.m)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := Decode(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
