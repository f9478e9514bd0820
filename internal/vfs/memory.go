package vfs

import (
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Sector is the unit in which a Memory disk loses writes.
const Sector = 512

// Kind tells operations apart.
type Kind uint8

// The operations that a hook sees.
const (
	OpCreate Kind = iota + 1
	OpOpen
	OpRead
	OpWrite
	OpTruncate // and Preallocate
	OpSync
	OpClose
	OpRename
	OpRemove
	OpList
	OpMkdir
	OpSyncDir
	OpLock
)

// Op is an operation about to be carried out.
type Op struct {
	Kind   Kind
	Name   string // of the file or directory; what a file was called when it was opened
	To     string // OpRename
	Offset int64  // OpRead, OpWrite; OpTruncate: the size
	Data   []byte // OpWrite; only to be looked at
}

// Fault is what befalls an operation instead of its success.
type Fault struct {
	// Err is what the operation returns. An OpSync that fails counts its pages as clean: they are never written, and can be
	// read until the power fails.
	Err error
	// Written is how many bytes of a write are carried out before Err.
	Written int
	// Lie has an OpSync or OpSyncDir return nil and do nothing.
	Lie bool
	// Misdirect has a write go to offset At of the same file.
	Misdirect bool
	At        int64
}

// Memory is a disk in memory. Its zero value is not ready; use NewMemory. Chance enters only through the source that is handed to
// PowerLoss, so everything can be repeated.
type Memory struct {
	mu    sync.Mutex
	root  *node
	life  int // counts crashes: what was opened before is void
	locks map[string]int
	hook  func(Op) *Fault
	space int64 // bytes still free; negative: no limit
	files int   // open ones, of this life
}

// NewMemory returns an empty disk without limit.
func NewMemory() *Memory {
	return &Memory{root: &node{dir: true}, locks: map[string]int{}, space: -1}
}

// SetHook has f see every operation before it is carried out, without a lock held, so that f may clone the disk, take its
// time, or return a fault. A nil hook is none.
func (m *Memory) SetHook(f func(Op) *Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = f
}

// SetSpace limits how many bytes files may grow by from now on, all in all; beyond it is ENOSPC. Negative: no limit.
func (m *Memory) SetSpace(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space = n
}

// Handles returns how many files are open.
func (m *Memory) Handles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files
}

// before asks the hook. It is never nil, so that its fields can be read.
func (m *Memory) before(op Op) *Fault {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		if f := hook(op); f != nil {
			return f
		}
	}
	return &Fault{}
}

func failed(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// split returns the elements of a path.
func split(name string) []string {
	name = strings.TrimPrefix(path.Clean(filepath.ToSlash(name)), "/")
	if name == "." || name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// find returns the node of that path, or nil.
func (m *Memory) find(elements []string) *node {
	n := m.root
	for _, e := range elements {
		if n == nil {
			return nil
		}
		n = n.names[e]
	}
	return n
}

// place returns the directory of a path and the last element, or nil.
func (m *Memory) place(name string) (*node, string) {
	e := split(name)
	if len(e) == 0 {
		return nil, ""
	}
	d := m.find(e[:len(e)-1])
	if d == nil || !d.dir {
		return nil, ""
	}
	return d, e[len(e)-1]
}

// Create implements FS.
func (m *Memory) Create(name string) (File, error) {
	if f := m.before(Op{Kind: OpCreate, Name: name}); f.Err != nil {
		return nil, failed("create", name, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.place(name)
	switch {
	case d == nil:
		return nil, failed("create", name, fs.ErrNotExist)
	case d.names[base] != nil:
		return nil, failed("create", name, fs.ErrExist)
	}
	n := &node{}
	d.change(change{name: base, node: n})
	return m.handle(name, n, true), nil
}

// Open implements FS.
func (m *Memory) Open(name string) (File, error) { return m.open(name, false) }

// OpenWrite implements FS.
func (m *Memory) OpenWrite(name string) (File, error) { return m.open(name, true) }

func (m *Memory) open(name string, write bool) (File, error) {
	if f := m.before(Op{Kind: OpOpen, Name: name}); f.Err != nil {
		return nil, failed("open", name, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(split(name))
	if n == nil || n.dir {
		return nil, failed("open", name, fs.ErrNotExist)
	}
	return m.handle(name, n, write), nil
}

func (m *Memory) handle(name string, n *node, write bool) *memoryFile {
	n.open++
	m.files++
	return &memoryFile{m: m, node: n, name: name, life: m.life, write: write}
}

// Rename implements FS.
func (m *Memory) Rename(from, to string) error {
	if f := m.before(Op{Kind: OpRename, Name: from, To: to}); f.Err != nil {
		return failed("rename", from, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, old := m.place(from)
	e, base := m.place(to)
	switch {
	case d == nil || e == nil || d.names[old] == nil:
		return failed("rename", from, fs.ErrNotExist)
	case e.names[base] != nil:
		return failed("rename", to, fs.ErrExist)
	case d.names[old].open > 0:
		return failed("rename", from, syscall.EBUSY)
	}
	if d == e {
		d.change(change{name: base, was: old, node: d.names[old]})
		return nil
	}
	v := &move{from: d, to: e}
	e.change(change{name: base, node: d.names[old], move: v})
	d.change(change{was: old, node: d.names[old], move: v})
	return nil
}

// Remove implements FS.
func (m *Memory) Remove(name string) error {
	if f := m.before(Op{Kind: OpRemove, Name: name}); f.Err != nil {
		return failed("remove", name, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.place(name)
	switch {
	case d == nil || d.names[base] == nil:
		return failed("remove", name, fs.ErrNotExist)
	case d.names[base].open > 0 || len(d.names[base].names) > 0:
		return failed("remove", name, syscall.EBUSY)
	}
	if m.space >= 0 {
		m.space += int64(len(d.names[base].content))
	}
	d.change(change{was: base})
	return nil
}

// List implements FS.
func (m *Memory) List(dir string) ([]string, error) {
	if f := m.before(Op{Kind: OpList, Name: dir}); f.Err != nil {
		return nil, failed("list", dir, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(split(dir))
	if n == nil || !n.dir {
		return nil, failed("list", dir, fs.ErrNotExist)
	}
	var names []string
	for name := range n.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements FS.
func (m *Memory) MkdirAll(dir string) error {
	if f := m.before(Op{Kind: OpMkdir, Name: dir}); f.Err != nil {
		return failed("mkdir", dir, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, e := range split(dir) {
		if n.names[e] == nil {
			n.change(change{name: e, node: &node{dir: true}})
		}
		if n = n.names[e]; !n.dir {
			return failed("mkdir", dir, fs.ErrExist)
		}
	}
	return nil
}

// SyncDir implements FS. Directories above it that were never synced may still be lost.
func (m *Memory) SyncDir(dir string) error {
	f := m.before(Op{Kind: OpSyncDir, Name: dir})
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(split(dir))
	switch {
	case n == nil || !n.dir:
		return failed("sync", dir, fs.ErrNotExist)
	case f.Err != nil:
		return failed("sync", dir, f.Err) // names are kept in a journal: a later sync covers them
	case f.Lie:
		return nil
	}
	n.syncNames()
	return nil
}

// Lock implements FS.
func (m *Memory) Lock(name string) (io.Closer, error) {
	if f := m.before(Op{Kind: OpLock, Name: name}); f.Err != nil {
		return nil, failed("lock", name, f.Err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base := m.place(name)
	key := strings.Join(split(name), "/")
	switch {
	case d == nil:
		return nil, failed("lock", name, fs.ErrNotExist)
	case m.locks[key] == m.life+1:
		return nil, failed("lock", name, ErrLocked)
	case d.names[base] == nil:
		d.change(change{name: base, node: &node{}})
	}
	m.locks[key] = m.life + 1
	return &memoryLock{m, key, m.life}, nil
}

type memoryLock struct {
	m    *Memory
	key  string
	life int
}

func (l *memoryLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.locks[l.key] == l.life+1 {
		delete(l.m.locks, l.key)
	}
	return nil
}
