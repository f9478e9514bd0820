package link

import (
	"fmt"

	"github.com/ensemble-go/ensemble/internal/mutant"
)

// draw sees to it that there is a candidate. A candidate is kept until it has become part of a stream.
func (l *Link) draw(out *Output) bool {
	if l.candidate != (Nonce{}) {
		return true
	}
	n := l.cfg.Nonce()
	if n == (Nonce{}) || n == l.last {
		out.Err = ErrNonce
		return false
	}
	l.candidate, l.last = n, n
	return true
}

// establish makes the candidate and the peer's nonce the stream that is up.
func (l *Link) establish(theirs Nonce, ensemble [16]byte, out *Output) {
	l.down(out)
	l.ours, l.theirs, l.ensemble = l.candidate, theirs, ensemble
	l.candidate, l.heard = Nonce{}, Nonce{}
	l.opening, l.up, l.confirmed, l.age = false, true, false, 0
	l.gap, l.wait = 1, 1
	out.Up = true
}

func (l *Link) confirm(out *Output) {
	l.gap, l.wait = 1, 1
	l.handshake(confirm, l.ours, l.theirs, out)
}

func (l *Link) receiveHandshake(frame []byte, out *Output) {
	h, ok := parseHandshake(frame)
	if !ok || l.pause > 0 {
		return
	}
	// What repeats one of our nonces is no older than that nonce.
	wanted := l.candidate != (Nonce{}) && h.yours == l.candidate
	live := l.up && h.yours == l.ours && h.mine == l.theirs

	switch h.kind {
	case unknown:
		if l.isUp(h.yours.short(), h.mine.short()) {
			l.Reset(out)
		}
		return
	case refuse:
		if err := l.mismatch(&h); err != nil && (wanted || live) {
			l.fail(err, out)
		}
		return
	}
	if err := l.mismatch(&h); err != nil {
		switch {
		case wanted || live:
			l.fail(err, out)
		case h.kind == hello && l.up: // perhaps an old one
		case h.kind == hello:
			out.Err = fmt.Errorf("%w (peer %d)", err, l.peer)
		default:
			return // an old one
		}
		if !l.said {
			l.said = true
			l.handshake(refuse, h.yours, h.mine, out)
		}
		return
	}
	if h.mine == (Nonce{}) {
		return
	}

	switch h.kind {
	case hello:
		if l.up && h.mine == l.theirs {
			if !l.confirmed { // it has not seen our answer
				l.handshake(confirm, l.ours, l.theirs, out)
			}
			return
		}
		if l.draw(out) {
			l.heard, l.stated = h.mine, h.ensemble
			l.handshake(answer, l.candidate, h.mine, out)
		}
	case answer:
		switch {
		case wanted:
			l.establish(h.mine, h.ensemble, out)
			l.confirm(out)
		case live && !l.confirmed:
			l.handshake(confirm, l.ours, l.theirs, out)
		}
	case confirm:
		switch {
		case wanted:
			l.establish(h.mine, h.ensemble, out)
		case live:
			l.ensemble = merge(l.ensemble, h.ensemble)
		default:
			l.deny(h.yours.short(), h.mine.short(), out)
			return
		}
		l.confirmed = true
		l.handshake(ready, l.ours, l.theirs, out)
	case ready:
		if live {
			l.ensemble = merge(l.ensemble, h.ensemble)
			l.confirmed = true
		}
	}
}

// mismatch says why the peer is not the one that it should be.
func (l *Link) mismatch(h *handshake) error {
	switch {
	case h.version < oldestVersion:
		return ErrVersion
	case h.from != l.peer || h.to != l.cfg.Self:
		return ErrMember
	case h.name != l.cfg.Name:
		return ErrName
	case differ(h.ensemble, l.cfg.Ensemble):
		return ErrEnsemble
	case differ(h.members, l.cfg.Members) && !mutant.On("membership-unasked"):
		return ErrMembers
	}
	return nil
}

// deny says that the stream is dead on this side. It is not called for one that is up or may still come up: that is what makes it safe for the
// peer to believe it whenever it arrives.
func (l *Link) deny(ours, theirs uint64, out *Output) {
	if !l.said {
		l.said = true
		l.handshake(unknown, long(ours), long(theirs), out)
	}
}

func (l *Link) isUp(ours, theirs uint64) bool {
	return l.up && ours == l.ours.short() && theirs == l.theirs.short()
}

func differ(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }

// merge keeps what was stated before if a repeat states nothing.
func merge(old, now [16]byte) [16]byte {
	if now == ([16]byte{}) {
		return old
	}
	return now
}
