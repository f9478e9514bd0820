package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

type memoryFile struct {
	m      *Memory
	node   *node
	name   string
	life   int
	write  bool
	closed bool
}

// usable is called with the lock held.
func (f *memoryFile) usable(op string, write bool) error {
	switch {
	case f.closed || f.life != f.m.life:
		return failed(op, f.name, fs.ErrClosed)
	case write && !f.write:
		return failed(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	fault := f.m.before(Op{Kind: OpRead, Name: f.name, Offset: off})
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if fault.Err != nil {
		return 0, failed("read", f.name, fault.Err)
	}
	if off >= int64(len(f.node.content)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	fault := f.m.before(Op{Kind: OpWrite, Name: f.name, Offset: off, Data: p})
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.writeAt(p, off, fault)
}

func (f *memoryFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	off := int64(len(f.node.content))
	f.m.mu.Unlock()
	return f.WriteAt(p, off)
}

func (f *memoryFile) writeAt(p []byte, off int64, fault *Fault) (int, error) {
	if err := f.usable("write", true); err != nil {
		return 0, err
	}
	err := fault.Err
	if err != nil {
		p = p[:min(max(fault.Written, 0), len(p))]
	}
	if fault.Misdirect {
		off = fault.At
	}
	end := off + int64(len(p))
	if grow := end - int64(len(f.node.content)); grow > 0 && len(p) > 0 {
		if free := f.m.space; free >= 0 && grow > free {
			end, err = max(off, end-(grow-free)), syscall.ENOSPC
			p = p[:end-off]
		}
		if len(p) > 0 {
			f.m.grow(f.node, end)
		}
	}
	if len(p) > 0 {
		copy(f.node.content[off:], p)
		f.node.soil(off, end)
	}
	if err != nil {
		return len(p), failed("write", f.name, err)
	}
	return len(p), nil
}

// grow makes n longer, for which there is space.
func (m *Memory) grow(n *node, size int64) {
	if m.space >= 0 {
		m.space -= size - int64(len(n.content))
	}
	n.resize(size)
}

func (f *memoryFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("size", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.content)), nil
}

func (f *memoryFile) Truncate(size int64) error {
	fault := f.m.before(Op{Kind: OpTruncate, Name: f.name, Offset: size})
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("truncate", true); err != nil {
		return err
	}
	have := int64(len(f.node.content))
	switch {
	case fault.Err != nil:
		return failed("truncate", f.name, fault.Err)
	case size > have && f.m.space >= 0 && size-have > f.m.space:
		return failed("truncate", f.name, syscall.ENOSPC)
	}
	f.m.grow(f.node, size)
	return nil
}

func (f *memoryFile) Preallocate(size int64) error {
	if have, err := f.Size(); err != nil || have >= size {
		return err
	}
	return f.Truncate(size)
}

func (f *memoryFile) Sync() error {
	fault := f.m.before(Op{Kind: OpSync, Name: f.name})
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("sync", true); err != nil {
		return err
	}
	switch {
	case fault.Err != nil:
		f.node.clean()
		return failed("sync", f.name, fault.Err)
	case fault.Lie:
		return nil
	}
	f.node.sync()
	return nil
}

func (f *memoryFile) Close() error {
	fault := f.m.before(Op{Kind: OpClose, Name: f.name})
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable("close", false); err != nil {
		return err
	}
	f.closed = true
	f.node.open--
	f.m.files--
	if fault.Err != nil {
		return failed("close", f.name, fault.Err)
	}
	return nil
}
