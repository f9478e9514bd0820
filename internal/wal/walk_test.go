package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// walk names the pieces of a file, one a line.
func walk(t *testing.T, b *bench, name string) string {
	t.Helper()
	text, last := "", int64(headerSize)
	must(t, Walk(b.disk, b.o.Dir, name, func(p *Piece) {
		if p.Offset != last || p.Size <= 0 {
			t.Errorf("%+v begins at %d", p, last)
		}
		last = p.Offset + p.Size
		text += fmt.Sprintln(p.Pos, p.Kind, p.Batch, p.Ends, p.Entry != nil, p.Zxid, p.Fault)
	}))
	return text
}

func TestWalk(t *testing.T) {
	b := newBench(31)
	b.mark()
	b.a.size = func() int { return 100 }
	var batch []zab.Record
	for range 2 {
		batch = append(batch, b.a.entry(b.m.now(), false))
		b.m.issue(batch[len(batch)-1:])
	}
	b.append(batch...)
	for range 2 {
		b.entry()
	}
	cut := zab.Record{Kind: zab.RecordTrunc, Pos: 5, Zxid: batch[1].Entry.Zxid}
	b.m.issue(records(cut))
	b.append(cut)
	must(t, b.err)
	file := b.logs()[len(b.logs())-1]
	name := filepath.Base(file)
	z := func(i uint64) zab.Zxid { return batch[0].Entry.Zxid + zab.Zxid(i-1) }
	line := func(pos uint64, kind int, batch int, ends, whole bool, zxid zab.Zxid, fault string) string {
		return fmt.Sprintln(pos, kind, batch, ends, whole, zxid, fault)
	}
	whole := line(1, 1, 1, false, true, z(1), "") + line(2, 1, 1, true, true, z(2), "") + line(3, 1, 2, true, true, z(3), "") +
		line(4, 1, 3, true, true, z(4), "") + line(5, 2, 4, true, false, z(2), "")
	if got := walk(t, b, name); got != whole {
		t.Errorf("whole:\n%s, want\n%s", got, whole)
	}
	// The payload of the third record, then its head too: of the fourth, only that it stands there is known.
	third := int64(headerSize + 512)
	must(t, b.disk.FlipBit(file, 8*(third+100)))
	damaged := line(3, 1, 2, true, false, 0, "damaged")
	begin, end := whole[:len(line(1, 1, 1, false, true, z(1), "")+line(2, 1, 1, true, true, z(2), ""))], line(4, 1, 3, true, true, z(4), "")+line(5, 2, 4, true, false, z(2), "")
	if got := walk(t, b, name); got != begin+damaged+end {
		t.Errorf("a payload:\n%s", got)
	}
	must(t, b.disk.FlipBit(file, 8*(third+9)))
	gap := line(0, 0, 0, false, false, 0, "no record") + line(4, 1, 3, true, true, z(4), "does not follow what is before it") + line(5, 2, 4, true, false, z(2), "")
	if got := walk(t, b, name); got != begin+gap {
		t.Errorf("a head:\n%s", got)
	}
	// Without its header a file shows nothing.
	must(t, b.disk.FlipBit(file, 8*400))
	var d *DamageError
	if err := Walk(b.disk, b.o.Dir, name, func(*Piece) { t.Error("a piece") }); !errors.As(err, &d) {
		t.Error(err)
	}
	r, err := Inspect(b.disk, b.o.Dir, nil)
	if s := r.Segments[len(r.Segments)-1]; err != nil || s.Fault != "damaged header" || s.Used || s.Size == 0 {
		t.Errorf("%v, %+v", err, s)
	}
	if err := Walk(vfs.NewMemory(), "/d", name, nil); !errors.As(err, &d) {
		t.Error(err)
	}
}

// A head that says more than the file holds, and a payload that no kind has.
func TestWalkPiece(t *testing.T) {
	s := &segment{sector: 512}
	f := &frame{kind: zab.RecordTrunc, length: 8, last: true}
	if p := f.piece(make([]byte, 48), 512, s); p.Fault != "goes on behind the end of the file" || p.Size != 48 {
		t.Errorf("%+v", p)
	}
	b := make([]byte, 512)
	f.kind = 9
	e := zab.Record{Kind: zab.RecordTrunc, Zxid: 1}
	enc := encoder{seg: s, off: 512}
	enc.put(b, []zab.Record{e}, nil)
	f.body = le.Uint32(b[4:])
	if p := f.piece(b, 512, s); p.Fault != "cannot be decoded" || p.Size != 512 {
		t.Errorf("%+v", p)
	}
}
