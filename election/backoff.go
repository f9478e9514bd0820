package election

// backoff says in which ticks to resend. Time between resends doubles from least to most, and each is shortened by up to
// half at random, so that members that began together do not stay together.
type backoff struct {
	least, most uint64
	interval    uint64 // of the resend that is awaited
	left        uint64 // ticks until then, at least 1
	random      uint64
}

// reset is for news, and brings the next resend no further away than it is.
func (b *backoff) reset() {
	b.interval = b.least
	b.left = min(b.left, b.least)
}

// restart is for a sending to everybody just made.
func (b *backoff) restart() {
	b.interval = b.least
	b.left = b.jittered()
}

// tick reports whether to resend now.
func (b *backoff) tick() bool {
	if b.left > 1 {
		b.left--
		return false
	}
	b.interval = min(2*b.interval, b.most)
	b.left = b.jittered()
	return true
}

func (b *backoff) jittered() uint64 { return b.interval - b.next()%(b.interval/2+1) }

// next is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
func (b *backoff) next() uint64 {
	b.random += 0x9e3779b97f4a7c15
	z := b.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
