package zab

// tail is a queue of items in blocks: it grows at the end and shrinks at both, and no item is ever copied.
type tail struct {
	blocks []*block
	skip   int // items of the first block that were dropped
	n      int
	spares []*block
}

const (
	blockLen   = 128
	mostSpares = 8 // what a large batch pushes it has mostly dropped before
)

type block [blockLen]item

func (t *tail) len() int { return t.n }

func (t *tail) at(i int) *item {
	i += t.skip
	return &t.blocks[i/blockLen][i%blockLen]
}

func (t *tail) push(x item) {
	i := t.skip + t.n
	if i == len(t.blocks)*blockLen {
		var b *block
		if n := len(t.spares); n > 0 {
			b, t.spares = t.spares[n-1], t.spares[:n-1]
		} else {
			b = new(block)
		}
		t.blocks = append(t.blocks, b)
	}
	t.blocks[i/blockLen][i%blockLen] = x
	t.n++
}

// keep drops what comes after the first n items.
func (t *tail) keep(n int) {
	for t.n > n {
		t.n--
		*t.at(t.n) = item{}
	}
	used := (t.skip + t.n + blockLen - 1) / blockLen
	clear(t.blocks[used:])
	t.blocks = t.blocks[:used]
}

// drop drops the first n items.
func (t *tail) drop(n int) {
	for range n {
		*t.at(0) = item{}
		t.skip++
		t.n--
		if t.skip == blockLen {
			if len(t.spares) < mostSpares {
				t.spares = append(t.spares, t.blocks[0])
			}
			t.blocks[0] = nil
			t.blocks = t.blocks[1:]
			t.skip = 0
		}
	}
}
