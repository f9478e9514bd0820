package session

import (
	"time"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// Negotiate returns the timeout that a session gets which asked for one: the one nearest to it between least and most, in whole milliseconds.
func Negotiate(asked, least, most time.Duration) time.Duration {
	granted := min(max(asked, least), most)
	return (granted + time.Millisecond - 1).Truncate(time.Millisecond)
}

// Ticks returns after how many ticks of a leader, counted from its last, a session has been silent for the whole of its timeout. A sign of life
// may come just before a tick, and that tick may be late by almost a whole one while the next is on time; so there are two more than the timeout has.
func Ticks(timeout, tick time.Duration) uint64 {
	if mutant.On("expiry-early") {
		timeout /= 2
	}
	return uint64((timeout+tick-1)/tick) + 2
}
