package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
	"github.com/ensemble-go/ensemble/transport/tcp"
)

// ensembleCluster is Ensemble with its default settings. Its in-memory transport, too, carries encoded messages.
type ensembleCluster struct {
	dir    string // "" in memory
	paths  []string
	nodes  []*ensemble.Node
	leader *ensemble.Node
}

func openEnsemble(in setting) (_ cluster, err error) {
	c := &ensembleCluster{paths: make([]string, numKeys)}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	founders, transports, err := ensembleTransports(in)
	if err != nil {
		return nil, err
	}
	if c.dir, err = in.directory(); err != nil {
		return nil, err
	}
	for i, m := range founders {
		conf := ensemble.Config{ID: m.ID, Members: founders, Transport: transports[i]}
		if in.disk {
			conf.Dir = filepath.Join(c.dir, fmt.Sprint(m.ID))
		}
		n, err := ensemble.Open(ctx, conf)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		if err := n.Ready(ctx); err != nil {
			return nil, err
		}
		if n.Status().Role == ensemble.Leading {
			c.leader = n
		}
	}
	if c.leader == nil {
		return nil, errors.New("no leader")
	}
	if _, err := c.leader.Create(ctx, "/bench", nil, ensemble.Persistent); err != nil {
		return nil, err
	}
	for i := range c.paths {
		c.paths[i] = fmt.Sprintf("/bench/%03d", i)
		if _, err := c.leader.Create(ctx, c.paths[i], make([]byte, valueSize), ensemble.Persistent); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ensembleTransports returns the members and the transport of each.
func ensembleTransports(in setting) (all []ensemble.Member, transports []transport.Transport, err error) {
	memory := transport.NewMemory()
	for id := ensemble.ID(1); id <= members; id++ {
		if !in.tcp {
			all, transports = append(all, ensemble.Member{ID: id}), append(transports, memory.Peer(id))
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		all = append(all, ensemble.Member{ID: id, Addr: l.Addr().String()})
		transports = append(transports, tcp.New(tcp.Config{Listener: l, Insecure: true})) // raft's TCP is plain, too
	}
	return all, transports, nil
}

func (c *ensembleCluster) write(key int, value []byte) error {
	_, err := c.leader.Set(context.Background(), c.paths[key], value, ensemble.AnyVersion)
	return err
}

func (c *ensembleCluster) settle() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		first, level, same := c.nodes[0].View(), true, true
		for _, n := range c.nodes[1:] {
			v := n.View()
			level = level && v.Zxid() == first.Zxid()
			same = same && v.Digest() == first.Digest()
		}
		switch {
		case level && same:
			return nil
		case level:
			return errDiffer
		case time.Now().After(deadline):
			return errBehind
		}
	}
}

func (c *ensembleCluster) close() {
	for _, n := range c.nodes {
		n.Close() // always nil
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}
