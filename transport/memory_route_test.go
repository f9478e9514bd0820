package transport

import (
	"testing"
	"testing/synctest"

	"github.com/ensemble-go/ensemble/quorum"
)

type heard []string

func (h *heard) Receive(_ quorum.ID, _ Class, frame []byte) { *h = append(*h, string(frame)) }
func (h *heard) Lost(quorum.ID)                             {}

// A cut that comes while a frame is being sent, after its route was found, loses it as it loses what is under way, also when it has ended again.
func TestCutWithinSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemory()
		a, b := n.Peer(1).(*endpoint), n.Peer(2)
		var got, own heard
		if err := a.Start(1, &own); err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if err := b.Start(2, &got); err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		a.Send(2, Log, []byte("first"))
		d := direction{1, 2}
		early, late := n.route(d), n.route(d)
		synctest.Wait()
		n.Cut(1, 2)
		a.put(early, Log, []byte("into the cut"))
		synctest.Wait()
		n.Heal()
		a.put(late, Log, []byte("from before the cut"))
		a.Send(2, Log, []byte("last"))
		synctest.Wait()
		if len(got) != 2 || got[0] != "first" || got[1] != "last" {
			t.Errorf("%q", got)
		}
		if q := early.way.queued.Load(); q != 0 {
			t.Errorf("%d bytes are counted as under way", q)
		}
	})
}
