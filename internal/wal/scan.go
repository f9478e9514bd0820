package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// image is what is in a directory. Making one changes nothing there.
type image struct {
	fs     vfs.FS
	dir    string
	newest uint16 // version that can be read
	visit  func(seg *segment, off int64, f *frame, r *zab.Record)

	slots   [2]*slot  // nil: not there, or damaged
	slotWhy [2]string // why it is nil
	format  [2]uint16 // version of each
	present [2]bool
	mark    *slot // the newer one
	all     []*segment
	path    []*segment // the log, oldest first
	dead    []string   // segments that are not of it
	temps   []string
	aside   []string // directories of evidence
	marked  bool     // a repair is under way
	done    bool     // it is a directory of evidence itself

	hist    history
	entries []zab.Entry
	seen    zab.Zxid // greatest in any record
	batch   uint64   // greatest of any record
	open    bool     // the last batch has no end
	verdict Verdict

	whole   int   // reads that went well
	damaged int   // reads that failed as those of damaged media do
	unread  error // the first read that failed in another way

	tail tail
}

// tail is from where the log is to be continued, and with which records first, since nothing proves them durable.
type tail struct {
	from     link
	pos      uint64 // of the last record before it
	base     zab.Zxid
	unproven []zab.Record
}

// fresh reports whether the directory was never used.
func (im *image) fresh() bool {
	return len(im.all) == 0 && !im.present[0] && !im.present[1] && im.verdict.Kind != Impaired
}

func (im *image) impair(where string, off int64, why string) {
	if im.verdict.Kind == Impaired {
		return
	}
	if off >= 0 {
		where += " at " + strconv.FormatInt(off, 10)
	}
	im.verdict.Kind, im.verdict.Where, im.verdict.Why = Impaired, where, why
}

// scan reads and judges a directory. Errors are those that say nothing about damage: versions and identity; identify is nil when any
// will do.
func (im *image) scan(identify func(*image) error) error {
	names, err := im.fs.List(im.dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			im.impair(im.dir, -1, "unreadable: "+err.Error())
			im.unread = err
		}
		return nil
	}
	im.sort(names)
	for i := range slotNames {
		if err := im.readSlot(i); err != nil {
			return err
		}
	}
	for _, s := range im.all {
		if err := im.readHeader(s); err != nil {
			return err
		}
	}
	if identify != nil {
		if err := identify(im); err != nil {
			return err
		}
	}
	if im.fresh() {
		return nil
	}
	im.judgeMark()
	im.findPath()
	im.readPath()
	return nil
}

// sort says what the files in the directory are.
func (im *image) sort(names []string) {
	im.marked, im.done = slices.Contains(names, markerName), slices.Contains(names, markerDone)
	for _, name := range names {
		if _, ok := parseEvidence(name); ok {
			im.aside = append(im.aside, name)
		} else if _, _, ok := parseSegmentName(name); ok {
			im.all = append(im.all, &segment{file: name})
		} else if base, ok := strings.CutSuffix(name, tempSuffix); ok {
			if _, _, ok := parseSegmentName(base); ok || slices.Contains(slotNames[:], base) || base == markerName {
				im.temps = append(im.temps, name)
			}
		}
	}
	for i, name := range slotNames {
		im.present[i] = slices.Contains(names, name)
	}
}

// load reads a file up to limit, no further than it is long.
func (im *image) load(name string, limit int64) (b []byte, size int64, err error) {
	defer func() {
		switch {
		case err == nil:
			im.whole++
		case vfs.OfMedium(err):
			im.damaged++
		case im.unread == nil:
			im.unread = err
		}
	}()
	f, err := im.fs.Open(filepath.Join(im.dir, name))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	if size, err = f.Size(); err != nil {
		return nil, 0, err
	}
	take := min(size, limit)
	if int64(int(take)) != take {
		return nil, size, errors.New("too long for this system")
	}
	b = make([]byte, take)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF && n == len(b) {
		err = nil
	}
	if err != nil && mutant.On("wal-eio-is-eof") {
		err = nil
	}
	return b, size, err
}

func (im *image) readSlot(i int) error {
	im.slotWhy[i] = "missing"
	if !im.present[i] {
		return nil
	}
	b, size, err := im.load(slotNames[i], headerSize)
	switch {
	case err != nil:
		im.slotWhy[i] = "unreadable: " + err.Error()
		return nil
	case size != headerSize:
		im.slotWhy[i] = fmt.Sprintf("%d bytes long", size)
		return nil
	}
	h := (*header)(b)
	version, why := h.open(slotMagic, im.newest)
	if why != "" {
		im.slotWhy[i] = why
		return nil
	}
	if !readable(version, im.newest) {
		return &VersionError{slotNames[i], version, im.newest}
	}
	s := new(slot)
	s.decode(h)
	im.slots[i], im.slotWhy[i], im.format[i] = s, "", version
	if im.mark == nil || s.generation > im.mark.generation {
		im.mark = s
	}
	return nil
}

// readHeader leaves number 0 in a segment whose header is damaged.
func (im *image) readHeader(s *segment) error {
	b, size, err := im.load(s.file, headerSize)
	s.size = size
	fault := func(why string) error {
		s.number, s.fault = 0, why
		im.impair(s.file, 0, why)
		return nil
	}
	if err != nil {
		return fault("unreadable: " + err.Error())
	}
	if len(b) < headerSize {
		return fault("shorter than its header")
	}
	h := (*header)(b)
	version, why := h.open(segmentMagic, im.newest)
	if why != "" {
		return fault(why)
	}
	if !readable(version, im.newest) {
		return &VersionError{s.file, version, im.newest}
	}
	s.decode(h)
	if segmentName(s.number, s.id) != s.file || s.number == 0 || s.first == 0 || !validSector(uint32(s.sector)) || s.allocated < s.begin() {
		return fault("its header is that of another file")
	}
	// From here on no file makes more memory be taken than its header, which has a checksum, says.
	switch {
	case s.allocated > maxSegment:
		return fault("it says that it is larger than a segment can be")
	case size > s.allocated:
		return fault("longer than its header says")
	}
	return nil
}

// judgeMark looks at the mark alone, and at what the segments say of identity.
func (im *image) judgeMark() {
	if im.mark == nil {
		im.impair(slotNames[0]+" and "+slotNames[1], -1, "no slot of the mark is whole: "+im.slotWhy[0]+", "+im.slotWhy[1])
	} else {
		im.verdict.Unclean = !im.mark.clean
	}
	member, name, ensemble := im.identity()
	for _, s := range im.all {
		if s.number != 0 && (s.member != member && s.member != 0 || s.name != name || s.ensemble != ensemble && s.ensemble != zab.EnsembleID{}) {
			im.impair(s.file, 0, "it belongs to another member or ensemble")
		}
	}
}

// identity is what the directory says of itself: the mark, or else the segments.
func (im *image) identity() (member quorum.ID, name string, ensemble zab.EnsembleID) {
	if im.mark != nil {
		return im.mark.mark.Member, im.mark.name, im.mark.mark.Ensemble
	}
	for _, s := range im.all {
		if s.number != 0 {
			name = s.name
			if s.member != 0 {
				member = s.member
			}
			if (s.ensemble != zab.EnsembleID{}) {
				ensemble = s.ensemble
			}
		}
	}
	return member, name, ensemble
}

// findPath follows the links back from the last segment to the first position that is wanted.
func (im *image) findPath() {
	byLink := map[[2]uint64]*segment{}
	var whole []*segment
	for _, s := range im.all {
		if s.number != 0 {
			whole = append(whole, s)
			byLink[[2]uint64{s.number, s.id}] = s
		}
	}
	if len(whole) == 0 {
		return
	}
	slices.SortFunc(whole, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id))
	})
	wanted := uint64(1)
	if im.mark != nil {
		wanted = max(wanted, im.mark.from)
	}
	s := whole[len(whole)-1]
	im.path = []*segment{s}
	for s.first > wanted {
		p := byLink[[2]uint64{s.before.number, s.before.id}]
		if p == nil || p.number >= s.number {
			im.impair(s.file, 0, fmt.Sprintf("the segment before it, %s, is missing", segmentName(s.before.number, s.before.id)))
			break
		}
		s = p
		im.path = append(im.path, s)
	}
	slices.Reverse(im.path)
	for _, s := range whole {
		if slices.Contains(im.path, s) {
			continue
		}
		im.dead = append(im.dead, s.file)
		if s.number > im.path[0].number && im.verdict.Kind != Impaired {
			im.checkSuperseded(s)
		}
	}
}

// checkSuperseded makes sure that a segment off the path was replaced before anything was appended to it.
func (im *image) checkSuperseded(s *segment) {
	b, _, err := im.load(s.file, s.size)
	if err != nil {
		im.impair(s.file, 0, "unreadable: "+err.Error())
		return
	}
	for off := s.begin(); off+recordHead <= int64(len(b)); off += 8 {
		if f, ok := parseFrame(b[off:], s.seed); ok && f.pos >= s.first+s.carried {
			im.impair(s.file, off, "records were appended to two segments that are not on one path")
			return
		}
	}
}

// lastNonZero is the length of b without the zeros at its end.
func lastNonZero(b []byte) int {
	n := len(b)
	for n >= 8 && le.Uint64(b[n-8:]) == 0 {
		n -= 8
	}
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return n
}
