package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

const (
	sessionClients = 9
	shortest       = 1000 // the timeouts of sessions, in milliseconds
	longest        = 2000
	countersCount  = 4
	longCounter    = "/c/all" // the others live as long as keys do
	lockPath       = "/lock"
)

// sessionClient has a session of its own, on which it counts, makes ephemerals, and takes the lock now and then. When its member does not answer it resumes the session at another one;
// of those whose member was killed some begin anew instead, and leave it to the ensemble to find out.
type sessionClient struct {
	client
	id       uint64 // of the session; 0: there is none
	password []byte
	name     core.Name // of the last call; Sequence 0: none on this connection
	process  *process  // that serves the session
	mine     []string  // ephemerals
	held     *hold
	until    time.Time // it lets go of the lock
}

func (c *sessionClient) loop(ctx context.Context) {
	defer c.leave()
	for ctx.Err() == nil {
		if !sleep(ctx, time.Duration(c.rng.IntN(20_000))*time.Microsecond) {
			return
		}
		if c.conn == nil && !c.arrive() {
			c.member = c.member%size + 1
			continue
		}
		if !c.act() {
			c.leave()
			c.member = ensemble.ID(1 + c.rng.IntN(size))
		}
	}
}

// leave ends the connection, and with it the belief to hold anything.
func (c *sessionClient) leave() {
	c.letGo()
	c.client.leave()
}

func (c *sessionClient) letGo() {
	if h := c.held; h != nil {
		c.run.history.note(func(*lives) { h.To = monotonic() })
		c.held = nil
	}
}

// arrive connects to a member, and opens a session or resumes its own there.
func (c *sessionClient) arrive() bool {
	p := c.run.cluster.process(c.member)
	if p == nil {
		return false
	}
	if c.conn, _ = dialControl(p.control); c.conn == nil {
		return false
	}
	killed := false
	if c.process != nil {
		select {
		case <-c.process.ended:
			killed = true
			if c.rng.IntN(3) == 0 {
				c.forget() // this client dies, silently, with its member
			}
		default:
		}
	}
	a := &attempt{Session: c.id, Killed: killed && c.id != 0}
	r := request{Deed: openSession, Timeout: callTimeout, Lasts: time.Duration(shortest+c.rng.IntN(longest-shortest+1)) * time.Millisecond}
	if c.id != 0 {
		r = request{Deed: resumeSession, Timeout: callTimeout, Session: ensemble.SessionID(c.id), Password: c.password}
		if a.Wrong = c.rng.IntN(20) == 0; a.Wrong {
			r.Password = slices.Clone(c.password)
			r.Password[c.rng.IntN(len(r.Password))]++
		}
	}
	answer, err := c.conn.call(r)
	if err != nil {
		answer = reply{Outcome: unknown}
	}
	a.Outcome, a.Expired = answer.Outcome, answer.Code == codeExpired
	if a.Outcome == done {
		a.Opened, a.Generation, a.Lasts, a.Alive = answer.On.Name.Session, answer.On.Name.Generation, answer.On.Lasts, answer.On.Alive
	}
	c.run.history.note(func(l *lives) { l.attempts = append(l.attempts, a) })
	switch {
	case a.Outcome == done:
		if c.id == 0 {
			c.mine = nil
		}
		c.id, c.password, c.name, c.process = answer.On.Name.Session, answer.On.Password, answer.On.Name, p
		if a.Session != 0 {
			return c.look()
		}
		return true
	case a.Expired && !a.Wrong:
		c.forget()
	}
	c.leave()
	return false
}

func (c *sessionClient) forget() {
	c.id, c.password, c.name, c.process, c.mine = 0, nil, core.Name{}, nil, nil
}

// on carries out parts on the session, and reports whether it can still be used here.
func (c *sessionClient) on(parts ...part) (o *op, ok bool) {
	next := c.name
	next.Sequence++
	o, ok = c.run.history.callOn(c.conn, c.number, c.member, request{Deed: onSession, Parts: parts, Timeout: callTimeout}, next)
	if o.named() {
		c.name = o.On.Name
	}
	return o, ok && o.On != nil && o.On.Alive != 0 && o.Outcome != unknown
}

// look finds out whether the session, which was resumed, owns the lock.
func (c *sessionClient) look() bool {
	o, ok := c.on(part{Verb: verbGet, Path: lockPath})
	if o.Outcome == done && o.On.Alive != 0 && o.Results[0].Owner == c.id {
		c.hold(o.Results[0].Czxid, o.On.Alive)
	}
	return ok
}

func (c *sessionClient) hold(token ensemble.Zxid, from int64) {
	h := &hold{Session: c.id, Generation: c.name.Generation, Member: c.member, Token: token, From: from}
	c.held, c.until = h, time.Now().Add(time.Duration(c.rng.IntN(400))*time.Millisecond)
	c.run.history.note(func(l *lives) { l.holds = append(l.holds, h) })
}

// act does one thing, and reports whether it can go on here.
func (c *sessionClient) act() bool {
	if c.held != nil && time.Now().After(c.until) {
		c.letGo() // before it asks
		_, ok := c.on(part{Verb: verbDelete, Path: lockPath, Version: -1})
		return ok
	}
	switch n := c.rng.IntN(1000); {
	case n < 600:
		return c.increment()
	case n < 700:
		return c.ephemeral(part{Verb: verbEphemeral, Path: fmt.Sprintf("/e/%d-%d", c.number, c.rng.IntN(8)), Tag: c.tag()})
	case n < 800:
		return c.ephemeral(part{Verb: verbEphemeralSequential, Path: "/e/n-", Tag: c.tag()})
	case n < 850 && len(c.mine) > 0:
		i := c.rng.IntN(len(c.mine))
		o, ok := c.on(part{Verb: verbDelete, Path: c.mine[i], Version: -1})
		if o.Outcome == done {
			c.mine = slices.Delete(c.mine, i, i+1)
		}
		return ok
	case n < 990 && c.held == nil:
		o, ok := c.on(part{Verb: verbEphemeral, Path: lockPath, Tag: c.tag()})
		if o.Outcome == done && o.On.Alive != 0 {
			c.hold(o.Zxid, o.On.Alive)
		}
		return ok
	case n < 995:
		c.close()
		return false
	}
	return false // it moves to another member
}

func (c *sessionClient) ephemeral(p part) bool {
	o, ok := c.on(p)
	if o.Outcome == done {
		c.mine = append(c.mine, o.Results[0].Path)
	}
	return ok
}

// increment reads a counter, adds one, and writes that, if nobody else has written since.
func (c *sessionClient) increment() bool {
	path := longCounter
	if i := c.rng.IntN(countersCount); i > 0 {
		path = fmt.Sprintf("/c/%d-%d", time.Duration(c.run.history.now())/keyLife, i)
	}
	o, ok := c.on(part{Verb: verbGet, Path: path})
	if !ok || o.Outcome != done {
		return ok
	}
	p := part{Verb: verbCreate, Path: path, Tag: countTag(c.tag(), 1)}
	if r := o.Results[0]; r.Exists {
		p = part{Verb: verbSet, Path: path, Tag: countTag(c.tag(), countOf(r.Tag)+1), Version: r.Version}
	}
	_, ok = c.on(p)
	return ok
}

func (c *sessionClient) close() {
	c.letGo() // before it asks
	next := c.name
	next.Sequence++
	p := part{Verb: verbClose, Path: fmt.Sprint(c.id)}
	o, _ := c.run.history.callOn(c.conn, c.number, c.member, request{Deed: closeSession, Parts: []part{p}, Timeout: callTimeout}, next)
	if o.Outcome == done || o.Outcome == unknown {
		c.forget()
	}
}

// newSessionClient is the client with that number.
func (r *run) newSessionClient(i int) *sessionClient {
	return &sessionClient{client: client{run: r, number: clientsCount + i, member: ensemble.ID(1 + i%size), rng: rand.New(rand.NewPCG(r.seed, uint64(1+clientsCount+i)))}}
}
