// Package disk lets a test give a node a disk of its own. It travels in the context that Open is given, so the public API need not know of it.
package disk

import (
	"context"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Disk is where data directories are.
type Disk struct {
	FS          vfs.FS
	Tail        int   // bytes of applied history that a node keeps in memory; 0: its default
	SegmentSize int64 // of the log, in bytes; 0: its default. A disk in memory copies a file at each sync, so small ones are cheaper there.
}

type key struct{}

// With returns a context that carries d.
func With(ctx context.Context, d Disk) context.Context { return context.WithValue(ctx, key{}, d) }

// Of returns the disk that ctx carries, or that of the operating system.
func Of(ctx context.Context) Disk {
	if d, ok := ctx.Value(key{}).(Disk); ok {
		return d
	}
	return Disk{FS: vfs.OS()}
}
