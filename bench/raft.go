package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// raftSystem is hashicorp/raft: with its in-memory transport, which hands over pointers so that nothing is encoded on the way, or its TCP transport; with
// its in-memory store, or raft-wal with its default settings and snapshots in files.
func raftSystem(name string, tune func(*raft.Config)) system {
	return system{name, func(in setting) (cluster, error) { return openRaft(in, tune) }}
}

// tuned is for throughput: as many entries in a message as is allowed, and a buffered queue of calls.
func tuned(c *raft.Config) {
	c.MaxAppendEntries = 1024
	c.BatchApplyCh = true
}

type raftCluster struct {
	dir    string // "" in memory
	keys   []string
	wals   []*wal.WAL
	nodes  []*raft.Raft
	maps   []*mapStore
	leader *raft.Raft
}

func openRaft(in setting, tune func(*raft.Config)) (_ cluster, err error) {
	c := &raftCluster{keys: make([]string, numKeys)}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for i := range c.keys {
		c.keys[i] = fmt.Sprintf("/bench/%03d", i)
	}
	ends, err := raftTransports(in, members+1) // the last one only calls for the election
	if err != nil {
		return nil, err
	}
	defer closeTransport(ends[members])
	var servers []raft.Server
	for i, end := range ends[:members] {
		servers = append(servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i + 1)), Address: end.LocalAddr()})
	}
	if c.dir, err = in.directory(); err != nil {
		return nil, err
	}
	for i, s := range servers {
		conf := raft.DefaultConfig()
		conf.LocalID = s.ID
		conf.LogLevel, conf.LogOutput = "OFF", io.Discard
		if tune != nil {
			tune(conf)
		}
		log, snaps, err := c.stores(i, in)
		if err != nil {
			return nil, err
		}
		store := &mapStore{values: map[string]*[]byte{}}
		if err := raft.BootstrapCluster(conf, log, log, snaps, ends[i], raft.Configuration{Servers: servers}); err != nil {
			return nil, err
		}
		n, err := raft.NewRaft(conf, store, log, log, snaps, ends[i])
		if err != nil {
			return nil, err
		}
		c.nodes, c.maps = append(c.nodes, n), append(c.maps, store)
	}

	// Rather than wait a second or two for the first timeout, tell the first member to stand now.
	c.leader = c.nodes[0]
	now := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
	if err := ends[members].TimeoutNow(servers[0].ID, servers[0].Address, now, new(raft.TimeoutNowResponse)); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(5 * time.Second); c.leader.State() != raft.Leader; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, errors.New("no leader")
		}
	}
	for key := range c.keys {
		if err := c.write(key, make([]byte, valueSize)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// raftTransports returns transports that reach each other.
func raftTransports(in setting, n int) (ends []raft.Transport, err error) {
	var memory []*raft.InmemTransport
	for range n {
		if in.tcp {
			end, err := raft.NewTCPTransport("127.0.0.1:0", nil, 3, 10*time.Second, io.Discard)
			if err != nil {
				return nil, err
			}
			ends = append(ends, end)
			continue
		}
		_, end := raft.NewInmemTransport("")
		for _, other := range memory {
			end.Connect(other.LocalAddr(), other)
			other.Connect(end.LocalAddr(), end)
		}
		memory, ends = append(memory, end), append(ends, end)
	}
	return ends, nil
}

func closeTransport(t raft.Transport) {
	if c, ok := t.(raft.WithClose); ok {
		c.Close()
	}
}

// logStore is what raft writes to.
type logStore interface {
	raft.LogStore
	raft.StableStore
}

// stores returns the log and the snapshots of a member.
func (c *raftCluster) stores(member int, in setting) (logStore, raft.SnapshotStore, error) {
	if !in.disk {
		return raft.NewInmemStore(), raft.NewInmemSnapshotStore(), nil
	}
	dir := filepath.Join(c.dir, fmt.Sprint(member))
	log := filepath.Join(dir, "log")
	if err := os.MkdirAll(log, 0o700); err != nil {
		return nil, nil, err
	}
	w, err := wal.Open(log, wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return nil, nil, err
	}
	c.wals = append(c.wals, w)
	snaps, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	return w, snaps, err
}

// write puts the length of the key, the key and the value into a command, which raft keeps.
func (c *raftCluster) write(key int, value []byte) error {
	k := c.keys[key]
	cmd := make([]byte, 0, 2+len(k)+len(value))
	cmd = binary.LittleEndian.AppendUint16(cmd, uint16(len(k)))
	cmd = append(cmd, k...)
	cmd = append(cmd, value...)
	return c.leader.Apply(cmd, 0).Error()
}

// settle calls for barriers until the others have what the leader has. When nothing else is written, raft sends to a follower one message of at most
// MaxAppendEntries for each CommitTimeout: one that is far behind, as it may be while the other two are a quorum, would take minutes. A barrier makes it send the next one now.
func (c *raftCluster) settle() error {
	deadline := time.Now().Add(patience)
	for {
		if err := c.leader.Barrier(0).Error(); err != nil {
			return err
		}
		first, level := c.maps[0].upto(), true
		for _, s := range c.maps[1:] {
			level = level && s.upto() == first
		}
		if level {
			break
		}
		if time.Now().After(deadline) {
			return errBehind
		}
	}
	first := c.maps[0].copy()
	for _, s := range c.maps[1:] {
		if !maps.EqualFunc(first, s.copy(), bytes.Equal) {
			return errDiffer
		}
	}
	return nil
}

func (c *raftCluster) close() {
	for _, n := range c.nodes {
		n.Shutdown().Error() // nothing can be done about it
	}
	for _, w := range c.wals {
		w.Close()
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

// mapStore is the state machine: a map. Values alias the log, which nobody changes, so that a write to a known key allocates nothing.
type mapStore struct {
	mu     sync.Mutex
	values map[string]*[]byte
	last   uint64 // index of the last command
}

var _ raft.BatchingFSM = (*mapStore)(nil)

// Apply is part of raft.FSM.
func (s *mapStore) Apply(l *raft.Log) any {
	s.mu.Lock()
	s.apply(l)
	s.mu.Unlock()
	return nil
}

// ApplyBatch is part of raft.BatchingFSM: raft then hands over whole batches, which saves it work.
func (s *mapStore) ApplyBatch(logs []*raft.Log) []any {
	s.mu.Lock()
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			s.apply(l)
		}
	}
	s.mu.Unlock()
	return make([]any, len(logs))
}

func (s *mapStore) apply(l *raft.Log) {
	size := 2 + binary.LittleEndian.Uint16(l.Data)
	key, value := l.Data[2:size], l.Data[size:]
	if v := s.values[string(key)]; v != nil {
		*v = value
	} else {
		s.values[string(key)] = &value
	}
	s.last = l.Index
}

func (s *mapStore) upto() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *mapStore) copy() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string][]byte, len(s.values))
	for k, v := range s.values {
		m[k] = *v
	}
	return m
}

// Snapshot is part of raft.FSM.
func (s *mapStore) Snapshot() (raft.FSMSnapshot, error) { return mapSnapshot(s.copy()), nil }

// Restore is part of raft.FSM.
func (s *mapStore) Restore(r io.ReadCloser) error {
	defer r.Close()
	values := map[string]*[]byte{}
	if err := json.NewDecoder(r).Decode(&values); err != nil {
		return err
	}
	s.mu.Lock()
	s.values = values
	s.mu.Unlock()
	return nil
}

type mapSnapshot map[string][]byte

func (m mapSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := json.NewEncoder(sink).Encode(m); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (m mapSnapshot) Release() {}
