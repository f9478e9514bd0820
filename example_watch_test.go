package ensemble_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/ensemble-go/ensemble"
)

// openAlone opens an ensemble of one, for the examples.
func openAlone() *ensemble.Node {
	n, err := ensemble.Open(context.Background(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}})
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// What is there, and then exactly what changes.
func ExampleWatcher() {
	ctx := context.Background()
	n := openAlone()
	defer n.Close()
	n.Create(ctx, "/jobs", nil, ensemble.Persistent)
	n.Create(ctx, "/jobs/1", []byte("waiting"), ensemble.Persistent)

	w, err := n.Watch(ctx, "/jobs", ensemble.WatchTree)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	v := w.View()
	for z := range v.Children("/jobs") {
		fmt.Printf("%s is %s\n", z.Path, z.Data)
	}
	v.Release()

	n.Set(ctx, "/jobs/1", []byte("running"), ensemble.AnyVersion)
	n.Multi(ctx, ensemble.CreateOp{Path: "/jobs/2", Data: []byte("waiting")}, ensemble.DeleteOp{Path: "/jobs/1"})
	for range 3 {
		e, err := w.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %s: %q, was %q\n", e.Type, e.Path, e.Znode.Data, e.Prev.Data)
	}
	// Output:
	// /jobs/1 is waiting
	// Changed /jobs/1: "running", was "waiting"
	// Created /jobs/2: "waiting", was ""
	// Deleted /jobs/1: "", was "running"
}

// Going on where another watcher, perhaps on another member, has ended.
func ExampleNode_WatchFrom() {
	ctx := context.Background()
	n := openAlone()
	defer n.Close()
	n.Create(ctx, "/a", nil, ensemble.Persistent)
	z, err := n.Get(ctx, "/a")
	if err != nil {
		log.Fatal(err)
	}
	n.Set(ctx, "/a", []byte("1"), ensemble.AnyVersion)
	n.Set(ctx, "/a", []byte("2"), ensemble.AnyVersion)

	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	w, err := n.WatchFrom(ctx, "/a", ensemble.WatchNode, z.Zxid)
	if err != nil {
		log.Fatal(err) // ErrWatchGap: read anew, and Watch
	}
	for e, err := range w.All(ctx) {
		if err != nil {
			break
		}
		fmt.Printf("%v to %s\n", e.Type, e.Znode.Data)
		if e.Znode.Stat.Version.Int() == 2 {
			w.Close()
		}
	}
	// Output:
	// Changed to 1
	// Changed to 2
}

// Parents that are missing are made too, and go when they are empty; the znode itself goes when it was not set for a while.
func ExampleCreateOp() {
	ctx := context.Background()
	n := openAlone()
	defer n.Close()
	w, err := n.Watch(ctx, "/", ensemble.WatchTree)
	if err != nil {
		log.Fatal(err)
	}
	n.Do(ctx, ensemble.CreateOp{Path: "/cache/users/7", Data: []byte("Ann"), TTL: 20 * time.Millisecond, Parents: true})
	for range 6 {
		e, err := w.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type, e.Path)
	}
	// Output:
	// Created /cache
	// Created /cache/users
	// Created /cache/users/7
	// Deleted /cache/users/7
	// Deleted /cache/users
	// Deleted /cache
}
