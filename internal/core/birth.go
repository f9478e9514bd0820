package core

import (
	"github.com/ensemble-go/ensemble/internal/mutant"
	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// birth is the part of this member in the birth of the ensemble. The founder of the lowest id leads it. When it hears all
// founders on present links, and none has ever promised an epoch, it draws the ensemble's id, or takes the one that some of
// them bear; each writes it to its mark and answers; with all answers in, the birth is complete. It may be interrupted and
// taken up again at every step, since each founder says only what its mark holds.
type birth struct {
	founders []quorum.ID
	founded  bool // the birth was completed in this run, with this member's part in it
}

// bornHere reports whether this member knows, durably, that the birth is complete.
func (m *Machine[V, R]) bornHere() bool { return m.zab.Durable().Born }

// mine is what this member says of its birth: what is durable, and nothing else.
func (m *Machine[V, R]) mine(found bool) *Birth {
	k := m.zab.Durable()
	if mutant.On("birth-issued") {
		k = m.zab.Mark()
	}
	return &Birth{
		Ensemble: k.Ensemble, Counts: k.Counts, Born: k.Born, Promised: k.Promised > 0, Found: found,
		Blank: m.cfg.Join || k.Spoilt || k.Ensemble != (zab.EnsembleID{}) && !k.Counts,
	}
}

func (m *Machine[V, R]) sayBirth(p *peer, found bool) {
	b := m.mine(found)
	if mutant.On("birth-by-joined") && m.zab.Durable().Joined == 0 && (p.born == nil || p.born.Ensemble == zab.EnsembleID{}) {
		b.Promised, b.Born = false, false
	}
	m.sendTo(p.id, b)
}

// birthTick repeats what was said, since Control may lose it, until the birth is known to be complete.
func (m *Machine[V, R]) birthTick() {
	if m.bornHere() {
		return
	}
	for i := range m.peers {
		if p := &m.peers[i]; p.linked {
			m.sayBirth(p, m.leadsBirth() && m.canFound())
		}
	}
}

func (m *Machine[V, R]) heardBirth(p *peer, x *Birth) {
	if m.bornHere() {
		if !x.Born {
			m.sayBirth(p, false)
		}
		return
	}
	news := p.born == nil || *p.born != *x
	p.born = x
	k := m.zab.Mark()
	switch {
	case x.Born && (k.Ensemble == zab.EnsembleID{}):
		m.zab.Write(func(k *zab.Mark) { k.Ensemble, k.Born = x.Ensemble, true }) // too late to found: a blank member
	case x.Born && k.Ensemble == x.Ensemble && !k.Born:
		m.completeBirth()
	case x.Found && m.voter && !m.cfg.Join && !k.Spoilt && (k.Ensemble == zab.EnsembleID{}):
		m.zab.Write(func(k *zab.Mark) { k.Ensemble, k.Counts = x.Ensemble, true })
	}
	if news && !x.Born {
		m.sayBirth(p, m.leadsBirth() && m.canFound())
	}
}

func (m *Machine[V, R]) leadsBirth() bool {
	return m.voter && !m.cfg.Join && !m.zab.Mark().Spoilt && len(m.birth.founders) > 0 && (m.birth.founders[0] == m.cfg.Self || mutant.On("any-founder-draws")) && !m.bornHere()
}

// allFounders reports whether ok holds for what each other founder said on its present link.
func (m *Machine[V, R]) allFounders(ok func(*Birth) bool) bool {
	for _, id := range m.birth.founders {
		if id == m.cfg.Self {
			continue
		}
		if p := m.peer(id); p == nil || !p.linked || p.born == nil || !ok(p.born) {
			return false
		}
	}
	return true
}

// canFound reports whether this member has initialised itself and may ask the others to do so.
func (m *Machine[V, R]) canFound() bool {
	k := m.zab.Durable()
	none := zab.EnsembleID{}
	return k.Ensemble != none && k.Counts && m.allFounders(func(b *Birth) bool {
		return !b.Promised && !b.Born && !b.Blank && (b.Ensemble == none || b.Ensemble == k.Ensemble)
	})
}

// birthSettle takes the leader of the birth one step further, if it can go.
func (m *Machine[V, R]) birthSettle() {
	k, d, none := m.zab.Mark(), m.zab.Durable(), zab.EnsembleID{}
	if !m.leadsBirth() || k.Born || k != d {
		return
	}
	if k.Ensemble == none {
		if !m.allFounders(func(b *Birth) bool { return !b.Promised && !b.Born && !b.Blank }) {
			return
		}
		id := none
		for _, founder := range m.birth.founders {
			p := m.peer(founder)
			if p == nil || p.born.Ensemble == none {
				continue
			}
			if id != none && p.born.Ensemble != id {
				return // of two ensembles: whoever mixed them up has to say which
			}
			id = p.born.Ensemble
		}
		if id == none {
			id = m.cfg.Ensemble
		}
		m.zab.Write(func(k *zab.Mark) { k.Ensemble, k.Counts = id, true })
		return
	}
	if k.Counts && m.canFound() && m.allFounders(func(b *Birth) bool { return b.Ensemble == k.Ensemble && b.Counts }) {
		m.completeBirth()
	}
}

// completeBirth records that the ensemble is born.
func (m *Machine[V, R]) completeBirth() {
	m.zab.Write(func(k *zab.Mark) { k.Born = true })
	m.birth.founded, m.changed = m.zab.Mark().Counts, true
}
