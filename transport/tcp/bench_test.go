package tcp

import (
	"fmt"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
	"github.com/ensemble-go/ensemble/transport"
)

// room lets a benchmark send only what is read.
type room chan struct{}

func (r room) Receive(quorum.ID, transport.Class, []byte) { <-r }
func (r room) Lost(quorum.ID)                             {}

// BenchmarkSend is one member sending to another over loopback: time and allocations for a frame, sent and received.
func BenchmarkSend(b *testing.B) {
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		for class := range transport.Class(transport.Classes) {
			for _, size := range []int{128, 4 << 10, transport.MaxFrame} {
				if class == transport.Control && size == transport.MaxFrame {
					continue // it forgets
				}
				b.Run(fmt.Sprintf("%s/%v/%d", name, class, size), func(b *testing.B) {
					config := secured(b, secure)
					queue := usual.queue[class] / 2
					window := make(room, max(2, min(4096, queue/(size+lengthBytes))))
					var ts [2]*Transport
					addrs := map[quorum.ID]string{}
					for i := range ts {
						cfg := config(quorum.ID(i + 1))
						cfg.Listen = "127.0.0.1:0"
						ts[i] = New(cfg)
						if err := ts[i].Start(quorum.ID(i+1), window); err != nil {
							b.Fatal(err)
						}
						defer ts[i].Close()
						addrs[quorum.ID(i+1)] = ts[i].Addr().String()
					}
					for _, t := range ts {
						peers := map[quorum.ID]string{1: addrs[1], 2: addrs[2]}
						t.SetPeers(peers)
					}
					(&member{Transport: ts[0], t: b, id: 1, logs: new(logs)}).settled(2)
					frame := make([]byte, size)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						window <- struct{}{}
						ts[0].Send(2, class, frame)
					}
					for range cap(window) { // all have arrived
						window <- struct{}{}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
				})
			}
		}
	}
}
