package wal_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/zab"
)

func Example() {
	disk := vfs.NewMemory() // vfs.OS() outside of tests
	ids := rand.New(rand.NewPCG(1, 2))
	options := wal.Options{Dir: "/data/log", Name: "orders", Member: 1, Random: ids.Uint64}

	log, found, err := wal.Open(disk, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("fresh:", found.Fresh)

	first := zab.MakeZxid(1, 1)
	err = log.Append([]zab.Record{
		{Kind: zab.RecordMark, Mark: zab.Mark{Ensemble: zab.EnsembleID{7}, Counts: true, Promised: 1}},
		{Kind: zab.RecordEntry, Pos: 1, Entry: zab.Entry{Zxid: first, Kind: zab.EntryData, Data: []byte("a")}},
		{Kind: zab.RecordEntry, Pos: 2, Entry: zab.Entry{Zxid: first + 1, Prev: first, Kind: zab.EntryData, Data: []byte("b")}},
	})
	fmt.Println("durable:", err == nil)

	disk.PowerLoss(ids)
	log, found, err = wal.Open(disk, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.Verdict)
	for _, e := range found.Entries {
		fmt.Printf("%v %s\n", e.Zxid, e.Data)
	}
	fmt.Println("promised:", found.Mark.Promised)
	log.Close()
	// Output:
	// fresh: true
	// durable: true
	// clean, not stopped properly
	// 1.1 a
	// 1.2 b
	// promised: 1
}
