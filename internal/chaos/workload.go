package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ensemble-go/ensemble"
)

const (
	keysCount   = 16
	keyLife     = 10 * time.Second // then there are new ones: no key has a long history
	callTimeout = 1500 * time.Millisecond
)

// client writes and reads until ctx ends, mostly at one member; it goes to another when that one does not answer.
type client struct {
	run      *run
	number   int
	rng      *rand.Rand
	member   ensemble.ID
	conn     *conn
	tags     int
	versions map[string]int32 // as last seen
}

func (c *client) loop(ctx context.Context) {
	defer c.leave()
	for ctx.Err() == nil {
		if !sleep(ctx, time.Duration(c.rng.IntN(20_000))*time.Microsecond) {
			return
		}
		if c.conn == nil {
			if p := c.run.cluster.process(c.member); p != nil {
				c.conn, _ = dialControl(p.control)
			}
			if c.conn == nil {
				c.member = c.member%size + 1
				continue
			}
		}
		o, ok := c.run.history.call(c.conn, c.number, c.member, callTimeout, c.choose()...)
		if !ok || o.Outcome == unknown || o.Outcome == nothing || c.rng.IntN(200) == 0 {
			c.leave()
			c.member = ensemble.ID(1 + c.rng.IntN(size))
		}
		c.learn(o)
	}
}

func (c *client) leave() {
	if c.conn != nil {
		c.conn.c.Close()
		c.conn = nil
	}
}

// learn keeps the versions that it saw, for conditional writes.
func (c *client) learn(o *op) {
	if o.Outcome != done {
		return
	}
	for i, r := range o.Results {
		switch o.Parts[i].Verb {
		case verbDelete:
			delete(c.versions, r.Path)
		case verbSequential:
		default:
			c.versions[r.Path] = r.Version
		}
	}
	if len(c.versions) > 4*keysCount {
		clear(c.versions)
	}
}

func (c *client) tag() string {
	c.tags++
	return fmt.Sprintf("%d-%d", c.number, c.tags)
}

func (c *client) key() string {
	return fmt.Sprintf("/k/%d-%d", time.Duration(c.run.history.now())/keyLife, c.rng.IntN(keysCount))
}

// version is one that may be right, or any.
func (c *client) version(key string) int32 {
	if v, ok := c.versions[key]; ok && c.rng.IntN(2) == 0 {
		return v
	}
	return -1
}

func (c *client) set(key string) part {
	return part{Verb: verbSet, Path: key, Tag: c.tag(), Size: c.rng.IntN(200), Version: c.version(key)}
}

func (c *client) create(key string) part {
	return part{Verb: verbCreate, Path: key, Tag: c.tag(), Size: c.rng.IntN(200)}
}

func (c *client) choose() []part {
	key := c.key()
	switch n := c.rng.IntN(100); {
	case n < 16:
		return []part{c.create(key)}
	case n < 50:
		return []part{c.set(key)}
	case n < 54:
		return []part{{Verb: verbDelete, Path: key, Version: c.version(key)}}
	case n < 68:
		return []part{{Verb: verbSequential, Path: fmt.Sprintf("/s/%d/n-", c.rng.IntN(keysCount)), Tag: c.tag(), Size: c.rng.IntN(50)}}
	case n < 80:
		other := c.key()
		if other == key {
			return []part{c.set(key)}
		}
		second := []part{c.set(other), c.create(other), {Verb: verbDelete, Path: other, Version: c.version(other)}}[c.rng.IntN(3)]
		return []part{c.set(key), second}
	}
	return []part{{Verb: verbGet, Path: key}}
}

// sleep reports whether ctx lasts longer than d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
