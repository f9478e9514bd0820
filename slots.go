package ensemble

// slots finds the call of a ticket.
type slots struct {
	list []slot
	free []uint32
}

type slot struct {
	call *call
	turn uint32 // of the slot, so that no ticket comes twice
}

func (s *slots) put(c *call) uint64 {
	var i uint32
	if n := len(s.free); n > 0 {
		i = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		i = uint32(len(s.list))
		s.list = append(s.list, slot{})
	}
	x := &s.list[i]
	x.turn++
	x.call = c
	return uint64(x.turn)<<32 | uint64(i)
}

func (s *slots) take(ticket uint64) *call {
	i := uint32(ticket)
	if int(i) >= len(s.list) || s.list[i].turn != uint32(ticket>>32) {
		return nil
	}
	c := s.list[i].call
	s.list[i].call = nil
	if c != nil {
		s.free = append(s.free, i)
	}
	return c
}

// peek returns the call of a ticket, which stays there.
func (s *slots) peek(ticket uint64) *call {
	if i := uint32(ticket); int(i) < len(s.list) && s.list[i].turn == uint32(ticket>>32) {
		return s.list[i].call
	}
	return nil
}

// all appends what has no answer.
func (s *slots) all(to []*call) []*call {
	for _, x := range s.list {
		if x.call != nil {
			to = append(to, x.call)
		}
	}
	return to
}
