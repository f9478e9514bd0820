package ensemble_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ensemble-go/ensemble"
)

func ExampleBootstrap() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ensemble")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}, Dir: filepath.Join(dir, "1")}
	fmt.Println(ensemble.Bootstrap(ctx, cfg))
	fmt.Println(errors.Is(ensemble.Bootstrap(ctx, cfg), ensemble.ErrDirUsed))

	n, err := ensemble.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	fmt.Println(n.Create(ctx, "/job-", nil, ensemble.Sequential))
	// Output:
	// <nil>
	// true
	// /job-0000000000 <nil>
}

func ExampleRestore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ensemble")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	members := []ensemble.Member{{ID: 1}}
	open := func(name string) *ensemble.Node {
		n, err := ensemble.Open(ctx, ensemble.Config{ID: 1, Members: members, Dir: filepath.Join(dir, name)})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	n := open("old")
	before, err := n.Do(ctx, ensemble.CreateOp{Path: "/config", Data: []byte("blue")})
	if err != nil {
		log.Fatal(err)
	}
	var backup bytes.Buffer
	if _, err := n.Backup(ctx, &backup); err != nil {
		log.Fatal(err)
	}
	n.Close()

	// The same for each member: its own directory, the same backup, the same options.
	options := ensemble.RestoreOptions{Members: members}
	if err := ensemble.Restore(ctx, filepath.Join(dir, "new"), bytes.NewReader(backup.Bytes()), options); err != nil {
		log.Fatal(err)
	}
	n = open("new")
	defer n.Close()
	z, err := n.Get(ctx, "/config")
	fmt.Printf("%s %v\n", z.Data, err)
	after, err := n.Set(ctx, "/config", []byte("green"), ensemble.AnyVersion)
	fmt.Println(after.Mzxid > before.Zxid, err)
	// Output:
	// blue <nil>
	// true <nil>
}
