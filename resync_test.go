package ensemble_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/vfs"
	"github.com/ensemble-go/ensemble/transport"
)

// another returns a member that does not lead.
func (d *disks) another() ensemble.ID { return d.leader()%3 + 1 }

// served returns what the leader has done for learners.
func (d *disks) served(leader ensemble.ID) ensemble.Stats {
	<-time.After(time.Second) // Stats are as of the last tick
	return d.nodes[leader].Stats()
}

func (d *disks) bringBack(id ensemble.ID) (before, after ensemble.Stats) {
	d.t.Helper()
	leader := d.leader()
	before = d.served(leader)
	if err := d.open(id).Ready(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return before, d.served(leader)
}

// A member that was stopped while more was written than the leader keeps in memory is brought up to date from the leader's log; one that missed little, from
// memory; one that missed what no log has any more, or more than a snapshot comes to, by a snapshot.
func TestLaggards(t *testing.T) {
	for _, c := range []struct {
		name   string
		tail   int
		missed func(d *disks, n *ensemble.Node) []string
		way    func(ensemble.Stats) uint64
	}{
		{"from memory", 0, func(d *disks, n *ensemble.Node) []string { return d.fill(n, "/b", 100, 500) },
			func(s ensemble.Stats) uint64 { return s.SyncedByMemory }},
		{"from the log", 4 << 10, func(d *disks, n *ensemble.Node) []string { return d.fill(n, "/b", 300, 2000) },
			func(s ensemble.Stats) uint64 { return s.SyncedByLog }},
		{"from the log, by the size of a snapshot", 4 << 10, func(d *disks, n *ensemble.Node) []string {
			must[ensemble.Zxid](d.t)(n.Snapshot(d.t.Context()))
			return d.fill(n, "/b", 40, 500)
		}, func(s ensemble.Stats) uint64 { return s.SyncedByLog }},
		{"gone from the log", 4 << 10, func(d *disks, n *ensemble.Node) []string {
			paths := d.fill(n, "/b", 100, 500)
			must[ensemble.Zxid](d.t)(n.Snapshot(d.t.Context()))
			return append(paths, d.fill(n, "/c", 100, 500)...)
		}, func(s ensemble.Stats) uint64 { return s.SyncedBySnapshot }},
		{"more than a snapshot", 4 << 10, func(d *disks, n *ensemble.Node) []string {
			must[ensemble.Zxid](d.t)(n.Snapshot(d.t.Context()))
			return d.fill(n, "/b", 200, 1000) // the snapshot has 200 kB
		}, func(s ensemble.Stats) uint64 { return s.SyncedBySnapshot }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisksTail(t, c.tail, func(cfg *ensemble.Config) { cfg.SnapshotsKept = 1 })
				id := d.another()
				paths := d.fill(d.nodes[d.leader()], "/a", 200, 1000)
				d.has(d.nodes[id], paths)
				d.nodes[id].Close()
				n := d.nodes[d.leader()]
				paths = append(paths, c.missed(d, n)...)
				before, after := d.bringBack(id)
				d.has(d.nodes[id], paths)
				if c.way(after) != c.way(before)+1 {
					t.Errorf("brought up to date by another way: %+v, then %+v", before, after)
				}
			})
		})
	}
}

func newDisksTail(t *testing.T, tail int, opt func(*ensemble.Config)) *disks {
	d := emptyDisks(t, opt)
	d.tail = tail
	d.openAll()
	return d
}

// severed is the transport of a member whose link breaks when so many bytes of a snapshot have come, and that hears and says nothing until it is mended.
type severed struct {
	transport.Transport
	transport.Handler

	mu    sync.Mutex
	left  int // bytes; 0: nothing breaks
	bytes int // of Bulk, in all
	down  bool
}

func (s *severed) Start(self ensemble.ID, h transport.Handler) error {
	s.Handler = h
	return s.Transport.Start(self, s)
}

func (s *severed) Send(to ensemble.ID, class transport.Class, frame []byte) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if !down {
		s.Transport.Send(to, class, frame)
	}
}

func (s *severed) Receive(from ensemble.ID, class transport.Class, frame []byte) {
	s.mu.Lock()
	if class == transport.Bulk {
		s.bytes += len(frame)
		if s.left > 0 {
			s.left -= len(frame)
			s.down = s.down || s.left <= 0
		}
	}
	down := s.down
	s.mu.Unlock()
	if !down {
		s.Handler.Receive(from, class, frame)
	}
}

func (s *severed) broken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *severed) mend() {
	s.mu.Lock()
	s.down, s.left = false, 0
	s.mu.Unlock()
}

// A member that has lost its disk is sent the tree. When that is interrupted, by the loss of the link or the end of its process, it goes on where it was: what
// has come is not sent again, but for what was in the air. A power loss may take what has come.
func TestTransferResumes(t *testing.T) {
	hows := []string{"link", "closing", "restart", "power"}
	if raced {
		hows = hows[:2] // the others differ in what is on disk, not in who runs beside whom
	}
	for _, how := range hows {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDisksTail(t, 4<<10, func(c *ensemble.Config) { c.SnapshotsKept = 1 })
				leader, id := d.leader(), d.another()
				paths := d.fill(d.nodes[leader], "/a", 160, 100_000) // 16 MB
				d.has(d.nodes[id], paths)
				d.nodes[id].Close()
				d.disk[id].Wipe()
				d.snapshot(leader)
				before := d.served(leader)
				cut := &severed{left: 9 << 20}
				d.wrap = func(member ensemble.ID, tr transport.Transport) transport.Transport {
					if member != id {
						return tr
					}
					cut.Transport = tr
					return cut
				}
				d.open(id)
				for deadline := time.Now().Add(time.Hour); !cut.broken() && time.Now().Before(deadline); <-time.After(time.Millisecond) {
				}
				if !cut.broken() {
					t.Fatal("nothing was sent")
				}
				r := rand.New(rand.NewPCG(1, 2))
				switch how {
				case "link":
					<-time.After(3 * time.Second) // both ends notice
					cut.mend()
				case "restart":
					d.nodes[id].Close()
					cut.mend()
					d.open(id)
				case "closing": // while it goes through what it has: it does not wait for the end of that
					d.nodes[id].Close()
					cut.mend()
					d.disk[id].SetHook(func(o vfs.Op) *vfs.Fault {
						if o.Kind == vfs.OpSync && strings.HasSuffix(o.Name, ".part") {
							<-time.After(200 * time.Millisecond)
						}
						return nil
					})
					d.open(id)
					<-time.After(2 * time.Second)
					begin := time.Now()
					d.nodes[id].Close()
					if took := time.Since(begin); took > time.Second {
						t.Errorf("Close took %v", took)
					}
					d.disk[id].SetHook(nil)
					d.open(id)
				case "power":
					d.kill(id, r)
					cut.mend()
					d.open(id)
				}
				paths = append(paths, d.fill(d.nodes[leader], "/b", 10, 1000)...)
				if err := d.nodes[id].Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				d.has(d.nodes[id], paths)
				after := d.served(leader)
				if resumed := after.SnapshotsResumed - before.SnapshotsResumed; how != "power" && resumed == 0 { // an attempt that was reset before it came far is one more
					t.Errorf("resumed %d times", resumed)
				}
				if most := 16<<20 + 5<<20; how != "power" && cut.bytes > most {
					t.Errorf("%d bytes were sent, at most %d were to be", cut.bytes, most)
				}
				// What was received is a snapshot like any other: the member starts from it.
				d.nodes[id].Close()
				if err := d.open(id).Ready(context.Background()); err != nil {
					t.Fatal(err)
				}
				d.has(d.nodes[id], paths)
			})
		})
	}
}

// Where the leader's log is damaged, what a laggard needs is not sent from it: a snapshot, whole.
func TestDamagedHistoryIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisksTail(t, 4<<10, nil)
		leader, id := d.leader(), d.another()
		paths := d.fill(d.nodes[leader], "/a", 50, 1000)
		d.has(d.nodes[id], paths)
		d.nodes[id].Close()
		paths = append(paths, d.fill(d.nodes[leader], "/b", 100, 1000)...)
		logs, err := d.disk[leader].List("/data")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range logs[:len(logs)-1] { // the last is written to
			if strings.HasSuffix(name, ".log") {
				if err := d.disk[leader].FlipBit("/data/"+name, 8*8000); err != nil {
					t.Fatal(err)
				}
			}
		}
		before, after := d.bringBack(id)
		d.has(d.nodes[id], paths)
		if after.SyncedBySnapshot != before.SyncedBySnapshot+1 {
			t.Errorf("from a damaged log: %+v, then %+v", before, after)
		}
	})
}

// A member whose disk fails while it receives a snapshot ends, as with any other failure of its disk, and goes on when it is mended.
func TestDiskFailsWhileReceiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisksTail(t, 4<<10, func(c *ensemble.Config) { c.SnapshotsKept = 1 })
		leader, id := d.leader(), d.another()
		paths := d.fill(d.nodes[leader], "/a", 100, 30_000)
		d.has(d.nodes[id], paths)
		d.nodes[id].Close()
		d.disk[id].Wipe()
		d.snapshot(leader)
		d.disk[id].SetHook(func(o vfs.Op) *vfs.Fault {
			if o.Kind == vfs.OpWrite && strings.HasSuffix(o.Name, ".part") {
				return &vfs.Fault{Err: syscall.EIO}
			}
			return nil
		})
		n := d.open(id)
		<-n.Done()
		if err := n.Err(); !errors.Is(err, ensemble.ErrDirFailed) || !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.disk[id].SetHook(nil)
		if err := d.open(id).Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.has(d.nodes[id], paths)
	})
}
