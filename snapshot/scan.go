package snapshot

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// Inspect lists what is in a directory, newest first, with what no snapshot is made of yet, and changes nothing. Only header and trailer are looked at.
// A directory that is not there is empty.
func Inspect(o Options) (snapshots []Info, leftover []string, err error) {
	if err := o.complete(); err != nil {
		return nil, nil, err
	}
	names, err := o.FS.List(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, &FailedError{"list " + o.Dir, err}
	}
	for _, name := range names {
		_, temp := parseName(name, tempSuffix)
		_, part := parseName(name, partSuffix)
		if temp || part {
			leftover = append(leftover, name)
		}
		if _, ok := parseName(name, suffix); ok {
			snapshots = append(snapshots, o.look(name))
		}
	}
	slices.SortFunc(snapshots, newestFirst)
	return snapshots, leftover, nil
}

func newestFirst(a, b Info) int {
	return cmp.Or(cmp.Compare(b.Zxid, a.Zxid), cmp.Compare(b.Pos, a.Pos), b.Created.Compare(a.Created), cmp.Compare(b.File, a.File))
}

// look reads header and trailer of a file.
func (o *Options) look(name string) Info {
	i := Info{File: name}
	i.Zxid, _ = parseName(name, suffix)
	r, err := o.open(name)
	if err != nil {
		i.Fault = err
		return i
	}
	defer r.Close()
	src := r.src.(*fileSource)
	i.Size = src.size
	z := i.Zxid
	i.Meta = r.meta
	switch {
	case o.Ensemble != r.meta.Ensemble && o.Ensemble != zab.EnsembleID{}:
		i.Fault = &IdentityError{name, o.Ensemble, r.meta.Ensemble}
	case r.meta.Zxid != z:
		i.Zxid = z
		i.Fault = r.damage("the header is that of another file", nil)
	case r.Err() != nil:
		i.Fault = r.Err()
	default:
		i.Fault = i.end(r, src)
	}
	return i
}

// end reads the trailer.
func (i *Info) end(r *Reader, src *fileSource) error {
	begin := src.off - headSize
	src.off = src.size - headSize
	r.off = src.off
	b, err := src.read(headSize)
	if err != nil {
		return r.damage("no trailer", err)
	}
	h, ok := parseHead(b, r.seed)
	i.Chunks, i.Length, i.Digest = h.at.Chunk, h.at.Length, h.at.Digest
	whole := begin+headSize*int64(h.at.Chunk)+int64(h.at.Length)+headSize == src.size
	if (!ok || h.length != theEnd || !whole) && !mutant.On("snapshot-no-trailer") {
		return r.damage("no trailer", nil)
	}
	return nil
}

// OpenFile opens one snapshot of a directory without a Store, to read it whole: for those who only look. Errors are *DamageError and *VersionError.
func OpenFile(o Options, file string) (*Reader, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return o.open(file)
}

// open opens a file; its chunks may be damaged from the first on.
func (o *Options) open(name string) (*Reader, error) {
	f, err := o.FS.Open(filepath.Join(o.Dir, name))
	if err != nil {
		return nil, &DamageError{name, 0, "it cannot be opened", err}
	}
	r, err := o.read(f, name)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.release = func() { f.Close() }
	return r, nil
}

func (o *Options) read(f vfs.File, name string) (*Reader, error) {
	size, err := f.Size()
	if err != nil {
		return nil, &DamageError{name, 0, "it has no length", err}
	}
	if size == 0 {
		return nil, &DamageError{name, 0, "it is empty", nil}
	}
	return newReader(&fileSource{f: f, size: size}, name, o.version)
}
