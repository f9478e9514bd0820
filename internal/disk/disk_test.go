package disk_test

import (
	"context"
	"testing"

	"github.com/ensemble-go/ensemble/internal/disk"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

func TestDisk(t *testing.T) {
	if d := disk.Of(context.Background()); d.FS == nil || d.SegmentSize != 0 {
		t.Fatalf("%+v", d)
	}
	want := disk.Disk{FS: vfs.NewMemory(), SegmentSize: 1}
	if d := disk.Of(disk.With(context.Background(), want)); d != want {
		t.Fatalf("%+v", d)
	}
}
