package election

import (
	"math"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// The order is total, antisymmetric and transitive, and 0 is equality: over all triples of edge values.
func TestCompareIsATotalOrder(t *testing.T) {
	var votes []Vote
	for _, epoch := range []uint32{0, 1, zab.MaxEpoch} {
		for _, zxid := range []zab.Zxid{0, zab.MakeZxid(1, 9), math.MaxInt64} {
			for _, id := range []quorum.ID{0, 1, math.MaxUint64} {
				votes = append(votes, Vote{id, epoch, zxid})
			}
		}
	}
	for _, a := range votes {
		for _, b := range votes {
			ab := a.Compare(b)
			if ab != -b.Compare(a) || (ab == 0) != (a == b) {
				t.Fatalf("%v and %v: %d and %d", a, b, ab, b.Compare(a))
			}
			for _, c := range votes {
				if ab < 0 && b.Compare(c) < 0 && a.Compare(c) >= 0 {
					t.Fatalf("%v < %v < %v, and not %v < %v", a, b, c, a, c)
				}
			}
		}
	}
}

// An id does not outweigh an epoch when zxids are equal: with that mistake elections never ended (ZOOKEEPER-1419).
func TestCompareWeighsEpochBeforeID(t *testing.T) {
	if (Vote{9, 1, 5}).Compare(Vote{1, 2, 5}) >= 0 {
		t.Error("id before epoch")
	}
}

func TestNames(t *testing.T) {
	for s, want := range []string{"looking", "following", "leading", "observing", "unknown"} {
		if got := State(s).String(); got != want {
			t.Errorf("%d: %s", s, got)
		}
	}
}
