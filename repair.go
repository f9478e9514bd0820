package ensemble

import (
	"errors"
	"path/filepath"

	"github.com/ensemble-go/ensemble/internal/core"
	"github.com/ensemble-go/ensemble/internal/durable"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/internal/wal"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/snapshot"
	"github.com/ensemble-go/ensemble/zab"
)

// A damaged directory is repaired from the others: what is in it is set aside, and the member begins as a blank one whose state is given up. Nothing
// that could have been acknowledged is counted on from then on, so this is what the loss of the disk would be; docs/storage.md has the steps.

// readmittable reports whether the voters without this member are a quorum: only they can readmit it. An observer needs nobody's leave.
func readmittable(cfg *Config) bool {
	v, err := quorum.New(cfg.Members)
	return err == nil && (!v.Votes(cfg.ID) || v.Contains(func(id ID) bool { return id != cfg.ID }))
}

// judge looks at the snapshots beside a log, before anything is changed. A log and its snapshots are whole together or not at all.
func (s *storage) judge(cfg *Config, so snapshot.Options, rec *wal.Recovery) (durable.Found, error) {
	so.Ensemble = rec.Mark.Ensemble
	kept, _, err := snapshot.Inspect(so)
	if err != nil {
		return durable.Found{}, err
	}
	var ensemble zab.EnsembleID
	var unread error
	for i := range kept {
		k := &kept[i]
		_, version := errors.AsType[*snapshot.VersionError](k.Fault)
		_, identity := errors.AsType[*snapshot.IdentityError](k.Fault)
		switch {
		case version || identity:
			return durable.Found{}, k.Fault
		case k.Fault != nil:
			if d, ok := errors.AsType[*snapshot.DamageError](k.Fault); ok && d.Err != nil && !vfs.OfMedium(d.Err) {
				unread = d
			}
		case ensemble == zab.EnsembleID{}:
			ensemble = k.Ensemble
		case k.Ensemble != ensemble:
			return durable.Found{}, &snapshot.IdentityError{File: k.File, Want: ensemble, Have: k.Ensemble}
		}
	}
	if rec.Verdict.Kind != wal.Impaired {
		f, err := durable.Found{}, durable.Orphans(rec, len(kept)) // before recover removes what was not finished
		if err == nil {
			f, err = s.recover(cfg, so, rec)
		}
		lost, ok := errors.AsType[*snapshot.LostError](err)
		if !errors.Is(err, durable.ErrOrphans) && !(ok && ofMedium(lost)) {
			return f, err
		}
		rec.Verdict = wal.Verdict{Kind: wal.Impaired, Where: snapshotsDir, Why: err.Error()}
	}
	switch none := (zab.EnsembleID{}); {
	case ensemble != none:
		rec.Mark.Ensemble, rec.Mark.Born = ensemble, true
	case unread != nil && rec.Mark.Ensemble == none: // it may tell whose this is, when it can be read again
		return durable.Found{}, unread
	case len(kept) > 0:
		rec.Mark.Spoilt = true
	}
	return durable.Found{}, nil
}

// ofMedium reports whether every snapshot that cannot be used is damaged, and not only out of reach just now.
func ofMedium(lost *snapshot.LostError) bool {
	for _, f := range lost.Faults {
		if d, ok := errors.AsType[*snapshot.DamageError](f); ok && d.Err != nil && !vfs.OfMedium(d.Err) {
			return false
		}
	}
	return true
}

// recover takes what the log and the snapshots make together. The log may not be there yet.
func (s *storage) recover(cfg *Config, so snapshot.Options, rec *wal.Recovery) (f durable.Found, err error) {
	load := func(r *snapshot.Reader) (err error) {
		s.state = nil // let go of what came of a damaged one
		s.state, err = loadState(r, cfg.MaxData)
		return err
	}
	s.Store, f, err = durable.Recover(nil, rec, so, load, func(err error) {
		cfg.Logger.Warn("ensemble: a snapshot is not used", "member", cfg.ID, "err", err)
	})
	if f.Snapshot == nil {
		s.state = nil
	}
	return f, err
}

// afresh begins with what a repair has left: nothing but the mark.
func (s *storage) afresh(cfg *Config, so snapshot.Options, rec *wal.Recovery) (durable.Found, error) {
	s.damage = &DamageInfo{Where: rec.Verdict.Where, Why: rec.Verdict.Why, Evidence: filepath.Join(cfg.Dir, rec.Evidence)}
	cfg.Logger.Warn("ensemble: the data directory is damaged, and was set aside; this member does not count until a quorum of the others has brought it up to date",
		"member", cfg.ID, "dir", cfg.Dir, "where", s.damage.Where, "why", s.damage.Why, "evidence", s.damage.Evidence)
	return s.recover(cfg, so, &wal.Recovery{Mark: rec.Mark})
}

// refused is the error for a directory that is damaged and stays as it is.
func refused(cfg *Config, rec *wal.Recovery) error {
	why := rec.Refused
	if !readmittable(cfg) {
		why = "the other voters are no quorum without this one, and could not readmit it. Keep all directories; go on with a backup, or with what another member has"
	}
	if why != "" {
		why = "; it is not repaired: " + why
	}
	return impaired(cfg.Dir, rec.Verdict.Where, rec.Verdict.Why+why)
}

// alone says, once, that an impaired member finds nobody to bring it up to date.
func (h *host) alone() {
	if h.core.Reason != core.Impaired || h.core.Leader != 0 {
		h.waited = 0
		return
	}
	if h.waited++; h.waited == h.cfg.InitLimit {
		h.cfg.Logger.Error("ensemble: this member is impaired, and there is no leader to bring it up to date; if too many are impaired, the ensemble stops until a quorum of intact ones is back",
			"member", h.cfg.ID)
	}
}
