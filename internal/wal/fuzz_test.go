package wal

import (
	"bytes"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/zab"
)

// fuzzID is the id of the segment that fuzz targets make up.
const fuzzID = 0x5eed

func fuzzSeed() uint32 {
	s := segment{id: fuzzID}
	s.derive(new(header))
	return s.seed
}

// sumsHold checks a record apart from the code under test.
func sumsHold(b []byte, size int) bool {
	sum := func(b []byte) uint32 {
		id := []byte{0xed, 0x5e, 0, 0, 0, 0, 0, 0}
		return crc32.Checksum(append(id, b...), crc32.MakeTable(crc32.Castagnoli))
	}
	return le.Uint32(b) == sum(b[4:40]) && le.Uint32(b[4:]) == sum(b[40:size])
}

// reseal makes records of arbitrary bytes: positions, chain and sums are put right as far as asked, everything else stays.
func reseal(b []byte, off int64, chain uint32, what byte) {
	seed := fuzzSeed()
	pos, batch := uint64(1), uint64(1)
	for off+recordHead <= int64(len(b)) {
		r := b[off:]
		if what&1 != 0 {
			le.PutUint64(r[16:], pos)
			le.PutUint64(r[24:], batch)
			le.PutUint32(r[12:], chain)
			le.PutUint32(r[32:], 0)
		}
		f, _ := parseFrame(r, seed)
		size := f.size(off, headerSize)
		if size > int64(len(r)) {
			return
		}
		le.PutUint32(r[4:], crc32.Update(seed, castagnoli, r[recordHead:size]))
		chain = crc32.Update(seed, castagnoli, r[4:recordHead])
		le.PutUint32(r, chain)
		if what&1 != 0 {
			pos++
			if f.last {
				batch++
			}
		}
		off += size
	}
}

// walkHolds checks that the pieces of a file lie in it one behind the other, and that those without a fault have sums that hold.
func walkHolds(t *testing.T, disk *vfs.Memory, name string, file []byte, s *segment) {
	t.Helper()
	at := s.begin()
	err := Walk(disk, "/d/log", name, func(p *Piece) {
		if p.Offset != at || p.Size <= 0 || p.Offset+p.Size > int64(len(file)) {
			t.Fatalf("%+v begins at %d", p, at)
		}
		if p.Fault == "" && !sumsHold(file[p.Offset:], int(p.Size)) {
			t.Fatalf("%+v does not hold", p)
		}
		at += p.Size
	})
	if s.first != 0 && validSector(uint32(s.sector)) && s.begin() <= s.allocated && int64(len(file)) <= s.allocated && s.allocated <= maxSegment {
		must(t, err)
	}
}

// Any bytes as a segment: no panic, no memory beyond a small multiple of the file's size, no record whose sums do not hold.
func FuzzLog(f *testing.F) {
	b := newBench(30)
	b.a.size = func() int { return b.a.r.IntN(60) }
	for range 5 {
		b.entry()
	}
	if b.err != nil {
		f.Fatal(b.err)
	}
	_, content := b.disk.Files()
	log := content[b.logs()[0]]
	for what := range byte(4) {
		f.Add(what, []byte{}, log[headerSize:])
		f.Add(what, []byte{}, append(append([]byte(nil), log[headerSize:1600]...), log[1000:3000]...))
	}
	f.Add(byte(3), []byte{}, []byte{})
	f.Add(byte(3), append(make([]byte, 36), 2), log[headerSize:]) // one record carried
	f.Add(byte(0), append(make([]byte, 20), 255), log[headerSize:])
	s := segment{number: 1, id: fuzzID, sector: headerSize, first: 1, batch: 1, allocated: headerSize, member: 3, name: "test"}
	name := segmentName(1, fuzzID)
	plain := *s.encode(Version)
	mark := slot{mark: zab.Mark{Member: 3}, name: "test", generation: 1}
	f.Fuzz(func(t *testing.T, what byte, head, data []byte) {
		// The header is changed in what does not tell which file it is, and its sum put right.
		h := plain
		le.PutUint64(h[120:], uint64(headerSize+len(data))) // allocated
		for i := range min(len(head), crcAt-12) {
			if at := 12 + i; at < 16 || at >= 32 {
				h[at] ^= head[i]
			}
		}
		h.seal()
		s := s
		s.decode(&h)
		file := append(h[:], data...)
		if what&2 != 0 {
			reseal(file, headerSize, s.root, what)
		}
		disk := vfs.NewMemory()
		must(t, disk.MkdirAll("/d/log"))
		put := func(name string, b []byte) {
			f, err := disk.Create("/d/log/" + name)
			must(t, err)
			_, err = f.Write(b)
			must(t, err, f.Close())
		}
		put(name, file)
		for _, name := range slotNames {
			put(name, mark.encode(Version)[:])
		}
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		im := &image{fs: disk, dir: "/d/log", newest: Version}
		must(t, im.scan(nil))
		runtime.ReadMemStats(&now)
		if used := now.TotalAlloc - before.TotalAlloc; used > 24*uint64(len(file))+1<<16 {
			t.Errorf("%d bytes allocated for a file of %d", used, len(file))
		}
		if im.verdict.Kind == Impaired {
			im.entries = nil
		}
		// What is found without a fault lies in the file, one record behind the other, with sums that hold.
		at := s.begin()
		for _, e := range im.entries {
			for {
				f, _ := parseFrame(file[at:], s.seed)
				size := f.size(at, s.sector)
				if !sumsHold(file[at:], int(size)) {
					t.Fatalf("a record at %d that does not hold", at)
				}
				r, _ := parsePayload(&f, file[at+recordHead:at+recordHead+int64(f.length)])
				at += size
				if r.Kind == zab.RecordEntry && r.Entry.Zxid == e.Zxid && bytes.Equal(r.Entry.Data, e.Data) {
					break
				}
			}
		}
		walkHolds(t, disk, name, file, &s)
		l, rec, err := Open(disk, testOptions(&clock{}, 1))
		must(t, err)
		if l == nil {
			if len(rec.Entries) > 0 {
				t.Error("impaired, with entries")
			}
			return
		}
		var read []zab.Entry
		for after := rec.Base; after < l.hist.last; after = read[len(read)-1].Zxid {
			e, err := l.Entries(after, l.hist.last, 100)
			if err != nil || len(e) == 0 {
				t.Fatalf("after %v: %v", after, err)
			}
			read = append(read, e...)
		}
		if len(read) != len(rec.Entries) {
			t.Fatalf("%d entries recovered, %d read back", len(rec.Entries), len(read))
		}
		for i, e := range rec.Entries {
			must(t, sameEntry(read[i], e))
		}
		must(t, l.Close())
		if _, again, err := Open(disk, testOptions(&clock{}, 2)); err != nil || again.Verdict.Kind != Clean || again.Pos != rec.Pos || len(again.Entries) != len(rec.Entries) {
			t.Fatalf("opened again: %+v, %v", again.Verdict, err)
		}
	})
}

// Any bytes as a record: no panic, nothing beyond its length is looked at, no more memory than it has bytes, times a constant, and what is decoded is
// encoded to the same bytes. One whose sums do not hold is never returned.
func FuzzRecord(f *testing.F) {
	m := newModel()
	a := newAuthor(31, m)
	seg := segment{id: fuzzID, sector: headerSize}
	seg.derive(new(header))
	for range 20 {
		for _, r := range a.batch() {
			if r.Kind == zab.RecordMark {
				continue
			}
			size, _ := batchSize(records(r), 0, headerSize)
			b := make([]byte, size)
			(&encoder{seg: &seg}).put(b, records(r), nil)
			f.Add(b, true)
		}
	}
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		b = append([]byte(nil), b...)
		if seal {
			reseal(b, 0, 0, 0)
		}
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		defer func() {
			runtime.ReadMemStats(&now)
			if used := now.TotalAlloc - before.TotalAlloc; used > 8*uint64(len(b))+16<<10 {
				t.Errorf("%d bytes allocated for a record of %d", used, len(b))
			}
		}()
		x, ok := parseFrame(b, seg.seed)
		if !ok {
			return
		}
		size := x.size(0, headerSize)
		if size > int64(len(b)) || !x.whole(b[:size], seg.seed) {
			return
		}
		if !sumsHold(b, int(size)) {
			t.Fatal("accepted, and the sums do not hold")
		}
		r, ok := parsePayload(&x, b[recordHead:recordHead+x.length:recordHead+x.length])
		if !ok {
			return
		}
		if payloadSize(&r) > int64(x.length) {
			t.Fatalf("%d bytes decoded to a record of %d", x.length, payloadSize(&r))
		}
		again := make([]byte, payloadSize(&r))
		putPayload(again, &r)
		r2, ok := parsePayload(&frame{kind: x.kind, pos: x.pos}, again)
		if !ok || sameEntry(r2.Entry, r.Entry) != nil || r2.Zxid != r.Zxid {
			t.Fatalf("%+v is encoded and decoded to %+v", r, r2)
		}
	})
}

// FuzzSlot: any bytes as a slot are refused or decoded to what is encoded to the same bytes, but for what is not used.
func FuzzSlot(f *testing.F) {
	s := slot{mark: zab.Mark{Ensemble: testEnsemble, Member: 3, Incarnation: zab.Incarnation{1}, Counts: true, Born: true, Promised: 4, Joined: 3}, name: "n", generation: 9, at: 7, acked: 8, from: 2, clean: true}
	f.Add(s.encode(Version)[:], true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		h := new(header)
		copy(h[:], b)
		if seal {
			h.seal()
		}
		if v, why := h.open(slotMagic, Version); why != "" || v != Version {
			return
		}
		var s, again slot
		s.decode(h)
		again.decode(s.encode(Version))
		if s != again {
			t.Fatalf("%+v, then %+v", s, again)
		}
	})
}
