package zab

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxEpoch is the greatest epoch: a Zxid fits a signed 64-bit integer.
const MaxEpoch = 1<<31 - 1

// Zxid names a transaction: the epoch of the leader that proposed it in the upper 32 bits, a counter that begins at 1 in
// each epoch in the lower 32 (DSN'11, section III). Zxids are compared as integers. Zero is the empty history.
type Zxid uint64

// MakeZxid returns the zxid of the given epoch and counter.
func MakeZxid(epoch, counter uint32) Zxid { return Zxid(epoch)<<32 | Zxid(counter) }

// Epoch returns the epoch of the leader that proposed the transaction.
func (z Zxid) Epoch() uint32 { return uint32(z >> 32) }

// Counter returns the place of the transaction within its epoch, from 1.
func (z Zxid) Counter() uint32 { return uint32(z) }

// String returns the zxid as "epoch.counter", both decimal.
func (z Zxid) String() string { return fmt.Sprintf("%d.%d", z.Epoch(), z.Counter()) }

// ParseZxid parses what String returns.
func ParseZxid(s string) (Zxid, error) {
	e, c, ok := strings.Cut(s, ".")
	epoch, err1 := strconv.ParseUint(e, 10, 31)
	counter, err2 := strconv.ParseUint(c, 10, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("zab: %q is not a zxid of the form epoch.counter", s)
	}
	return MakeZxid(uint32(epoch), uint32(counter)), nil
}
