package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

// ensembleCluster is Ensemble with its in-memory transport, which carries encoded messages.
type ensembleCluster struct {
	paths  []string
	nodes  []*ensemble.Node
	leader *ensemble.Node
}

func openEnsemble() (_ cluster, err error) {
	c := &ensembleCluster{paths: make([]string, numKeys)}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var founders []ensemble.Member
	for i := range members {
		founders = append(founders, ensemble.Member{ID: ensemble.ID(i + 1)})
	}
	net := transport.NewMemory()
	for _, m := range founders {
		n, err := ensemble.Open(ctx, ensemble.Config{ID: m.ID, Members: founders, Transport: net.Peer(m.ID)})
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
}
