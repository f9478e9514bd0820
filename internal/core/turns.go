package core

// turnSlots is how many ticks ahead turns looks. What is due later comes by once in so many ticks.
const turnSlots = 512

// turns holds which session is to be renewed at which tick, in the order in which that was said. An entry whose session is due at another tick by now, or not at all, is dropped when it comes by.
type turns struct {
	now   uint64
	slots [turnSlots][]*client
	spare []*client
}

// set lets c be due after so many ticks, and not as was said before.
func (t *turns) set(c *client, after uint64) {
	c.due = t.now + max(after, 1)
	slot := &t.slots[c.due%turnSlots]
	if *slot == nil {
		*slot, t.spare = t.spare, nil
	}
	*slot = append(*slot, c)
}

// tick lets a tick pass and appends what is due. It is due no more.
func (t *turns) tick(list []*client) []*client {
	t.now++
	slot := &t.slots[t.now%turnSlots]
	rest := (*slot)[:0]
	for _, c := range *slot {
		switch {
		case c.due == t.now:
			c.due = 0
			list = append(list, c)
		case c.due > t.now && c.due%turnSlots == t.now%turnSlots:
			rest = append(rest, c)
		}
	}
	clear((*slot)[len(rest):])
	if *slot = rest; len(rest) == 0 {
		t.spare, *slot = rest, nil
	}
	return list
}
