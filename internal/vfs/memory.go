package vfs

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
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
	FS // as whoever holds the disk sees it, over all crashes; its files and locks end with the next

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
	m := &Memory{root: &node{dir: true}, locks: map[string]int{}, space: -1}
	m.FS = &process{m, everyLife}
	return m
}

// Process returns the disk as one process sees it. The next crash ends that: whatever goroutines of the process are still about to do then fails with fs.ErrClosed.
func (m *Memory) Process() FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &process{m, m.life}
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

func (m *Memory) handle(name string, n *node, write bool) *memoryFile {
	n.open++
	m.files++
	return &memoryFile{m: m, node: n, name: name, life: m.life, write: write}
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
