package main

import (
	"fmt"
	"io"
	"time"
)

// meter reports how far the reading is, at most once a second.
type meter struct {
	w    io.Writer
	now  func() time.Time
	last time.Time // of the last report, or of the beginning

	what   string
	sizes  map[string]int64
	total  int64
	file   string
	before int64 // of the files before
	told   bool
}

// begin starts to read files of these sizes.
func (m *meter) begin(what string, sizes map[string]int64) {
	m.what, m.sizes, m.total, m.file, m.before = what, sizes, 0, "", 0
	for _, n := range sizes {
		m.total += n
	}
	if m.last.IsZero() {
		m.last = m.now()
	}
}

// at is told each place that is reached, file by file.
func (m *meter) at(file string, offset int64) {
	if file != m.file {
		m.before += m.sizes[m.file]
		m.file = file
	}
	if m.w == io.Discard {
		return
	}
	now := m.now()
	if now.Sub(m.last) < time.Second {
		return
	}
	m.last, m.told = now, true
	done := min(m.before+offset, m.total)
	fmt.Fprintf(m.w, "ensemble: %s %s of %s, %d %%, %s\n", m.what, size10(done), size10(m.total), done*100/max(m.total, 1), file)
}

// done says that the reading is over, if anything was said before.
func (m *meter) done() {
	if m.told {
		fmt.Fprintf(m.w, "ensemble: %s all of %s\n", m.what, size10(m.total))
	}
}

// size10 is a number of bytes with a unit.
func size10(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}
