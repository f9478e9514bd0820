//go:build !linux

package vfs

import "os"

// syncFile uses what the standard library does; on darwin that reaches the medium itself.
func syncFile(f *os.File) error { return f.Sync() }

// reserve leaves it at the length.
func reserve(*os.File, int64) error { return nil }
