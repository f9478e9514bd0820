package vfs

import (
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// process is a Memory disk as seen by one process: that of one life, or of everyLife.
type process struct {
	m    *Memory
	life int
}

const everyLife = -1

// begin asks the hook, and returns with the lock held.
func (p *process) begin(op Op) *Fault {
	f := p.m.before(op)
	p.m.mu.Lock()
	if p.life != everyLife && p.life != p.m.life {
		return &Fault{Err: fs.ErrClosed}
	}
	return f
}

// Create implements FS.
func (p *process) Create(name string) (File, error) {
	f := p.begin(Op{Kind: OpCreate, Name: name})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return nil, failed("create", name, f.Err)
	}
	d, base := p.m.place(name)
	switch {
	case d == nil:
		return nil, failed("create", name, fs.ErrNotExist)
	case d.names[base] != nil:
		return nil, failed("create", name, fs.ErrExist)
	}
	n := &node{}
	d.change(change{name: base, node: n})
	return p.m.handle(name, n, true), nil
}

// Open implements FS.
func (p *process) Open(name string) (File, error) { return p.open(name, false) }

// OpenWrite implements FS.
func (p *process) OpenWrite(name string) (File, error) { return p.open(name, true) }

func (p *process) open(name string, write bool) (File, error) {
	f := p.begin(Op{Kind: OpOpen, Name: name})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return nil, failed("open", name, f.Err)
	}
	n := p.m.find(split(name))
	if n == nil || n.dir {
		return nil, failed("open", name, fs.ErrNotExist)
	}
	return p.m.handle(name, n, write), nil
}

// Rename implements FS.
func (p *process) Rename(from, to string) error {
	f := p.begin(Op{Kind: OpRename, Name: from, To: to})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return failed("rename", from, f.Err)
	}
	d, old := p.m.place(from)
	e, base := p.m.place(to)
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
func (p *process) Remove(name string) error {
	f := p.begin(Op{Kind: OpRemove, Name: name})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return failed("remove", name, f.Err)
	}
	d, base := p.m.place(name)
	switch {
	case d == nil || d.names[base] == nil:
		return failed("remove", name, fs.ErrNotExist)
	case d.names[base].open > 0 || len(d.names[base].names) > 0:
		return failed("remove", name, syscall.EBUSY)
	}
	if p.m.space >= 0 {
		p.m.space += int64(len(d.names[base].content))
	}
	d.change(change{was: base})
	return nil
}

// List implements FS.
func (p *process) List(dir string) ([]string, error) {
	f := p.begin(Op{Kind: OpList, Name: dir})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return nil, failed("list", dir, f.Err)
	}
	n := p.m.find(split(dir))
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
func (p *process) MkdirAll(dir string) error {
	f := p.begin(Op{Kind: OpMkdir, Name: dir})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return failed("mkdir", dir, f.Err)
	}
	n := p.m.root
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
func (p *process) SyncDir(dir string) error {
	f := p.begin(Op{Kind: OpSyncDir, Name: dir})
	defer p.m.mu.Unlock()
	n := p.m.find(split(dir))
	switch {
	case f.Err != nil:
		return failed("sync", dir, f.Err) // names are kept in a journal: a later sync covers them
	case n == nil || !n.dir:
		return failed("sync", dir, fs.ErrNotExist)
	case f.Lie:
		return nil
	}
	n.syncNames()
	return nil
}

// Lock implements FS.
func (p *process) Lock(name string) (io.Closer, error) {
	f := p.begin(Op{Kind: OpLock, Name: name})
	defer p.m.mu.Unlock()
	if f.Err != nil {
		return nil, failed("lock", name, f.Err)
	}
	d, base := p.m.place(name)
	key := strings.Join(split(name), "/")
	switch {
	case d == nil:
		return nil, failed("lock", name, fs.ErrNotExist)
	case p.m.locks[key] == p.m.life+1:
		return nil, failed("lock", name, ErrLocked)
	case d.names[base] == nil:
		d.change(change{name: base, node: &node{}})
	}
	p.m.locks[key] = p.m.life + 1
	return &memoryLock{p.m, key, p.m.life}, nil
}
