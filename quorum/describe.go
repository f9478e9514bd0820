package quorum

import (
	"fmt"
	"strings"
)

// Describe draws how far each voter has come and what that amounts to, for tests and for people. The longer the bar, the
// more voters of the same part are behind; ? is a voter that has acknowledged nothing; * marks those at the part's position
// or beyond. The drawing may change from version to version.
func Describe(v Verifier, acked func(ID) uint64) string {
	var b strings.Builder
	describe(&b, v, acked, "")
	return b.String()
}

func describe(b *strings.Builder, v Verifier, acked func(ID) uint64, indent string) {
	at := show(v.Position(acked))
	inner := indent + "  "
	switch v := v.(type) {
	case *joint:
		fmt.Fprintf(b, "%sboth -> %s\n", indent, at)
		describe(b, v.a, acked, inner)
		describe(b, v.b, acked, inner)
	case *hierarchy:
		fmt.Fprintf(b, "%s%d of %d groups -> %s\n", indent, v.need(), v.counted, at)
		for i := range v.groups {
			v.groups[i].describe(b, acked, inner)
		}
	case *majority:
		fmt.Fprintf(b, "%s%d of %d voters -> %s\n", indent, v.need(), len(v.voters), at)
		bars(b, v.voters, acked, v.Position(acked), inner, nil)
	default:
		fmt.Fprintf(b, "%s%d voters -> %s\n", indent, len(v.Voters()), at)
		bars(b, v.Voters(), acked, v.Position(acked), inner, nil)
	}
}

func (g *group) describe(b *strings.Builder, acked func(ID) uint64, indent string) {
	var at uint64
	if g.total == 0 {
		fmt.Fprintf(b, "%sgroup %d: not counted\n", indent, g.number)
	} else {
		at = g.position(acked)
		fmt.Fprintf(b, "%sgroup %d: %d of %d -> %s\n", indent, g.number, g.need(), g.total, show(at))
	}
	ids := make([]ID, len(g.members))
	for i, m := range g.members {
		ids[i] = m.id
	}
	bars(b, ids, acked, at, indent+"  ", g.members)
}

// bars draws one line for each id. weights is nil, or parallel to ids.
func bars(b *strings.Builder, ids []ID, acked func(ID) uint64, at uint64, indent string, weights []weighed) {
	width := 0
	for _, id := range ids {
		width = max(width, len(show(acked(id))))
	}
	for i, id := range ids {
		own, behind := acked(id), 0
		for _, other := range ids {
			if acked(other) < own {
				behind++
			}
		}
		bar, mark := strings.Repeat("x", behind)+">", " "
		if own == 0 {
			bar = "?"
		}
		if at > 0 && own >= at {
			mark = "*"
		}
		fmt.Fprintf(b, "%s%s %-*s %*s  id %d", indent, mark, len(ids), bar, width, show(own), id)
		if weights != nil {
			fmt.Fprintf(b, " weight %d", weights[i].weight)
		}
		b.WriteByte('\n')
	}
}

// show writes a position in decimal, or in hexadecimal if it has an epoch in its upper half.
func show(at uint64) string {
	if at>>32 != 0 {
		return fmt.Sprintf("%#x", at)
	}
	return fmt.Sprint(at)
}
