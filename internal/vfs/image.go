package vfs

import "slices"

// image is the durable content of a file, in pages that are never changed: the image after a sync shares with the one before what was not written between them.
type image struct {
	size  int
	pages [][]byte // of pageSize each; nil: zeros
}

const pageSize = 16 * Sector

func newImage(b []byte) image {
	m := image{}.resized(len(b))
	for i := range m.pages {
		m.pages[i] = make([]byte, pageSize)
		copy(m.pages[i], b[i*pageSize:])
	}
	return m
}

// bytes returns a copy of the first size bytes, zeros for what there is not.
func (m image) bytes(size int) []byte {
	b := make([]byte, size)
	for i, p := range m.pages {
		if at := i * pageSize; at < size {
			copy(b[at:], p)
		}
	}
	return b
}

// resized returns an image of that size with the same bytes, and zeros where it is longer.
func (m image) resized(size int) image {
	c := image{size, make([][]byte, (size+pageSize-1)/pageSize)}
	copy(c.pages, m.pages)
	if n := size / pageSize; size < m.size && n < len(c.pages) && c.pages[n] != nil {
		c.pages[n] = slices.Clone(c.pages[n])
		clear(c.pages[n][size%pageSize:])
	}
	return c
}

// synced returns what a sync makes of m: the dirty sectors of content, and no others.
func (m image) synced(content []byte, dirty []bool) image {
	c := m.resized(len(content))
	own := -1 // page that is nobody else's
	for s, d := range dirty {
		at := s * Sector
		if !d || at >= len(content) {
			continue
		}
		n := at / pageSize
		if n != own {
			p := make([]byte, pageSize)
			copy(p, c.pages[n])
			c.pages[n], own = p, n
		}
		copy(c.pages[n][at%pageSize:], content[at:min(at+Sector, len(content))])
	}
	return c
}
