package wal

import (
	"fmt"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/zab"
)

// identify refuses a directory of somebody else. One that says nothing of itself, or no member, is nobody's.
func (o *Options) identify(im *image) error {
	whole := im.mark != nil
	for _, s := range im.all {
		whole = whole || s.number != 0
	}
	if !whole {
		return nil
	}
	return o.owns(im.identity())
}

// owns refuses what is somebody else's.
func (o *Options) owns(member quorum.ID, name string, ensemble zab.EnsembleID) error {
	none := zab.EnsembleID{}
	switch {
	case member != o.Member && member != 0:
		return &IdentityError{"member", fmt.Sprint(o.Member), fmt.Sprint(member)}
	case name != o.Name:
		return &IdentityError{"name", fmt.Sprintf("%q", o.Name), fmt.Sprintf("%q", name)}
	case o.Ensemble != none && ensemble != none && ensemble != o.Ensemble:
		return &IdentityError{"ensemble", fmt.Sprintf("%x", o.Ensemble), fmt.Sprintf("%x", ensemble)}
	}
	return nil
}
