package wal

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
)

// writeMark makes s durable in both slots, one after the other, as the next generation.
func (l *Log) writeMark(s slot) error {
	s.generation = l.slot.generation + 1
	return l.putMark(s, [2]bool{})
}

// putMark leaves out slots that hold s already, durably. To write one again would put it at risk out of turn.
func (l *Log) putMark(s slot, done [2]bool) error {
	h := s.encode(l.opt.version)
	x := first(s.generation)
	for _, i := range [2]int{x, 1 - x} {
		if done[i] {
			continue
		}
		if _, err := l.slots[i].WriteAt(h[:], 0); err != nil {
			return l.fail("write "+slotNames[i], err)
		}
		if err := l.sync(l.slots[i], slotNames[i]); err != nil {
			return err
		}
		if mutant.On("wal-one-slot") {
			break
		}
	}
	l.slot, l.noted = s, l.opt.Now()
	return nil
}

// renewMark writes the mark that was found again, without the flag of a clean stop: of what is read now, one slot may be only in
// memory. The one that may be is written first, while the other holds.
func (l *Log) renewMark(im *image) error {
	s := l.slot
	s.clean = false
	suspect := first(s.generation + 1) // the slot that was written last
	for i, other := range im.slots {
		if other == nil || im.slots[1-i] != nil && other.generation > im.slots[1-i].generation {
			suspect = i
		}
	}
	s.generation = after(s.generation, suspect)
	for i, name := range slotNames {
		if err := l.openSlot(im, i, name, &s); err != nil {
			return err
		}
	}
	// A write that the crash cut short may still be on its way to one slot, though nothing of it can be seen. It must not arrive
	// torn while the other slot is being written.
	for i, f := range l.slots {
		if im.present[i] {
			if err := l.sync(f, slotNames[i]); err != nil {
				return err
			}
		}
	}
	// All names that are seen here, of an earlier run too, are durable from here on.
	if err := l.syncDir(); err != nil {
		return err
	}
	return l.putMark(s, [2]bool{!im.present[0], !im.present[1]})
}

// openSlot opens the file of a slot. One that is missing is made with its content; one that has another length is damaged, and the
// other one holds.
func (l *Log) openSlot(im *image, i int, name string, s *slot) error {
	if !im.present[i] {
		if err := l.create(name, s.encode(l.opt.version)[:], headerSize); err != nil {
			return err
		}
	}
	f, err := l.fs.OpenWrite(l.path(name))
	if err != nil {
		return l.fail("open "+name, err)
	}
	l.slots[i] = f
	size, err := f.Size()
	if err == nil && size != headerSize {
		err = f.Truncate(headerSize)
	}
	if err != nil {
		return l.fail("open "+name, err)
	}
	return nil
}
