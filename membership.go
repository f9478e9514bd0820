package ensemble

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Two ideas of who the members are make two quorums that need not meet. So a member takes its own from its configuration but once: from then on its directory
// holds it (decision 020), and members whose memberships differ do not speak to each other (package link).

// heldMembers makes cfg.Members those that the data directory holds. It reports whether they have yet to be written: if there are none, or none that can be relied on,
// those of cfg are taken.
func heldMembers(fsys vfs.FS, cfg *Config, names []string) (missing bool, err error) {
	if !hasLog(names) { // what a Bootstrap or an Open that was cut short has left binds nobody
		return true, nil
	}
	held, err := durable.ReadMembers(fsys, cfg.Dir)
	switch {
	case errors.Is(err, durable.ErrMembers):
		cfg.Logger.Warn("ensemble: the membership that the data directory holds cannot be read; Config.Members is taken instead", "member", cfg.ID, "dir", cfg.Dir, "err", err)
		return true, nil
	case err != nil:
		return false, dirError(cfg.Dir, err)
	case held == nil || mutant.On("membership-configured"):
		return true, nil
	}
	if !slices.ContainsFunc(held, func(m Member) bool { return m.ID == cfg.ID }) {
		return false, &DirError{cfg.Dir, fmt.Errorf("%w: its ensemble has no member %d", ErrDirForeign, cfg.ID)}
	}
	if !slices.Equal(unaddressed(held), unaddressed(cfg.Members)) {
		cfg.Logger.Warn("ensemble: Config.Members is not the membership that the data directory holds; the latter is used", "member", cfg.ID, "dir", cfg.Dir,
			"configured", fmt.Sprint(cfg.Members), "held", fmt.Sprint(held))
	}
	for i := range held {
		for _, m := range cfg.Members {
			if m.ID == held[i].ID {
				held[i].Addr = m.Addr // it may have moved
			}
		}
	}
	cfg.Members = held
	return false, nil
}

// unaddressed is what members have to agree on: in one order, and without addresses, which may differ.
func unaddressed(members []Member) []Member {
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	for i := range members {
		members[i].Addr = ""
	}
	return members
}
