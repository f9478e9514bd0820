package snapshot_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// text is a state: it is cut into chunks by its View.
type text struct {
	zxid   zab.Zxid
	chunks []string
}

func (t *text) Zxid() zab.Zxid { return t.zxid }
func (t *text) Close()         {}
func (t *text) Next() ([]byte, bool, error) {
	c := t.chunks[0]
	t.chunks = t.chunks[1:]
	return []byte(c), len(t.chunks) == 0, nil
}

func Example() {
	ctx := context.Background()
	disk := vfs.NewMemory()
	ids := rand.New(rand.NewPCG(1, 2))
	options := snapshot.Options{Dir: "/data/snapshots", FS: disk, Random: ids.Uint64} // without FS: the files of the machine
	store, err := snapshot.Open(options)
	if err != nil {
		fmt.Println(err)
		return
	}
	var last snapshot.Info
	for i := range uint32(2) {
		z := zab.MakeZxid(1, 10*(i+1))
		last, err = store.Write(ctx, snapshot.Meta{Ensemble: zab.EnsembleID{7}, Zxid: z, Pos: uint64(10 * (i + 1))}, &text{z, []string{"the state ", "at ", z.String()}})
		if err != nil {
			fmt.Println(err)
			return
		}
	}

	// The power fails, and the newest snapshot is damaged.
	disk.PowerLoss(ids)
	disk.FlipBit("/data/snapshots/"+last.File, 8*last.Size/2)
	if store, err = snapshot.Open(options); err != nil {
		fmt.Println(err)
		return
	}
	log := snapshot.Need{From: zab.MakeZxid(1, 5), Upto: zab.MakeZxid(1, 25)}
	var state []byte
	found, faults, err := store.Load(log, func(r *snapshot.Reader) error {
		state = nil
		for {
			chunk, err := r.Chunk()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			state = append(state, chunk...)
		}
	})
	fmt.Printf("%s; %d damaged, %v\n", state, len(faults), err)

	// The same container as a stream.
	r, err := store.Open(found.File)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	var backup bytes.Buffer
	if _, err := snapshot.Write(ctx, &backup, r.Meta(), r); err != nil {
		fmt.Println(err)
		return
	}
	again, err := snapshot.NewReader(&backup)
	fmt.Println(again.Zxid(), err)
	// Output:
	// the state at 1.10; 1 damaged, <nil>
	// 1.10 <nil>
}
