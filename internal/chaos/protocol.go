package main

import (
	"context"
	"encoding/gob"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/internal/core"
)

// verb is what a part of an operation does.
type verb uint8

const (
	verbCreate verb = iota + 1
	verbSequential
	verbSet
	verbDelete
	verbGet // alone, and after a Sync
	verbEphemeral
	verbEphemeralSequential
	verbClose // the session
)

func (v verb) String() string {
	return [...]string{"?", "create", "sequential", "set", "delete", "get", "ephemeral", "sequential ephemeral", "close"}[v]
}

// part is one thing that an operation does. Version is -1 for any. Data that is written begins with Tag, which no other part of the run has, and a space; Size is how long it is.
type part struct {
	Verb    verb
	Path    string
	Tag     string
	Size    int
	Version int32
}

func (p part) data() []byte { return []byte(p.Tag + " " + strings.Repeat("x", p.Size)) }

func tagOf(data []byte) string {
	tag, _, _ := strings.Cut(string(data), " ")
	return tag
}

// outcome is what is known of an operation.
type outcome uint8

const (
	unknown outcome = iota // the write may have taken effect, may do so yet, or never
	done                   // acknowledged
	refused                // judged, and refused
	nothing                // not handed to the ensemble
)

// deed says on which session a request is made, or what is to happen to that of the connection.
type deed uint8

const (
	onNode deed = iota // the member's own session
	onSession
	openSession
	resumeSession
	closeSession
)

// request is a write (several parts are a multi) or a read; with no parts it asks for the status.
type request struct {
	Deed    deed
	Parts   []part
	Timeout time.Duration

	Lasts    time.Duration      // openSession: its timeout
	Session  ensemble.SessionID // resumeSession
	Password []byte
}

// reply is its answer.
type reply struct {
	Outcome outcome
	Error   string
	Code    code // of refused
	Index   int  // of the part that was refused; -1: the only one
	Zxid    ensemble.Zxid
	Results []result
	On      *served // of what was asked on a session, or about one

	Status status
}

// served is what a reply says of the session of the connection.
type served struct {
	Session  uint64
	Name     core.Name // of the call; Sequence 0: it was not handed over, or is none
	Alive    int64     // the session's Context had not ended then, after the call; 0: it had
	Password []byte    // of openSession and resumeSession
	Lasts    time.Duration
}

// result is what a part led to.
type result struct {
	Path    string
	Exists  bool // of a read
	Tag     string
	Version int32
	Czxid   ensemble.Zxid // of a read
	Owner   uint64        // the same
}

// status is that of a member.
type status struct {
	Leader  ensemble.ID
	Ready   bool
	Applied ensemble.Zxid
	Digest  uint64
}

// code is why a write was refused.
type code uint8

const (
	codeOther code = iota
	codeExists
	codeNoNode
	codeVersion
	codeNotEmpty
	codeExpired // the session
)

func codeOf(err error) code {
	for c, e := range map[code]error{codeExists: ensemble.ErrNodeExists, codeNoNode: ensemble.ErrNoNode, codeVersion: ensemble.ErrBadVersion, codeNotEmpty: ensemble.ErrNotEmpty,
		codeExpired: ensemble.ErrSessionExpired} {
		if errors.Is(err, e) {
			return c
		}
	}
	return codeOther
}

// conn is a connection to a member's control port, for one caller at a time.
type conn struct {
	c net.Conn
	e *gob.Encoder
	d *gob.Decoder
}

func dialControl(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{c, gob.NewEncoder(c), gob.NewDecoder(c)}, nil
}

// call sends r and waits for its answer, somewhat longer than the member does. After an error the connection is good for nothing more.
func (c *conn) call(r request) (a reply, err error) {
	if err = c.c.SetDeadline(time.Now().Add(r.Timeout + 300*time.Millisecond)); err == nil {
		if err = c.e.Encode(r); err == nil {
			err = c.d.Decode(&a)
		}
	}
	return a, err
}

// serve answers what comes on a control connection.
func serve(ctx context.Context, n *ensemble.Node, x *events, c net.Conn) {
	defer c.Close()
	e, d := gob.NewEncoder(c), gob.NewDecoder(c)
	var t tenant
	for {
		var r request
		if d.Decode(&r) != nil || e.Encode(answer(ctx, n, x, &t, r)) != nil {
			return
		}
	}
}

func answer(ctx context.Context, n *ensemble.Node, x *events, t *tenant, r request) (a reply) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	switch {
	case r.Deed > onSession:
		return t.deed(ctx, n, x, r)
	case len(r.Parts) == 0:
		s, v := n.Status(), n.View()
		defer v.Release()
		return reply{Outcome: done, Status: status{s.Leader, s.Ready, v.Zxid(), v.Digest()}}
	case r.Deed == onSession && r.Parts[0].Verb == verbGet:
		return t.read(ctx, r.Parts[0].Path)
	case r.Deed == onSession:
		return t.write(ctx, r.Parts)
	case r.Parts[0].Verb == verbGet:
		return read(ctx, n, r.Parts[0].Path)
	}
	a, _ = carryOut(ctx, n, r.Parts)
	return a
}

func carryOut(ctx context.Context, n ensemble.Client, parts []part) (a reply, err error) {
	var ops []ensemble.Op
	for _, p := range parts {
		v := ensemble.AnyVersion
		if p.Version >= 0 {
			v = ensemble.VersionOf(p.Version)
		}
		switch p.Verb {
		case verbCreate:
			ops = append(ops, ensemble.CreateOp{Path: p.Path, Data: p.data()})
		case verbSequential:
			ops = append(ops, ensemble.CreateOp{Path: p.Path, Data: p.data(), Mode: ensemble.Sequential})
		case verbEphemeral:
			ops = append(ops, ensemble.CreateOp{Path: p.Path, Data: p.data(), Mode: ensemble.Ephemeral})
		case verbEphemeralSequential:
			ops = append(ops, ensemble.CreateOp{Path: p.Path, Data: p.data(), Mode: ensemble.Ephemeral | ensemble.Sequential})
		case verbSet:
			ops = append(ops, ensemble.SetOp{Path: p.Path, Data: p.data(), Version: v})
		case verbDelete:
			ops = append(ops, ensemble.DeleteOp{Path: p.Path, Version: v})
		}
	}
	var results []ensemble.Result
	if len(ops) == 1 {
		results = make([]ensemble.Result, 1)
		results[0], err = n.Do(ctx, ops[0])
	} else {
		results, err = n.Multi(ctx, ops...)
	}
	if err != nil {
		return failed(err), err
	}
	a = reply{Outcome: done, Zxid: results[0].Zxid}
	for i, r0 := range results {
		a.Results = append(a.Results, result{Path: r0.Path, Version: r0.Stat.Version.Int(), Tag: parts[i].Tag})
	}
	return a, nil
}

func read(ctx context.Context, n ensemble.Client, path string) reply {
	synced, err := n.Sync(ctx)
	if err != nil {
		return reply{Outcome: nothing, Error: err.Error()}
	}
	z, err := n.Get(ctx, path)
	switch {
	case errors.Is(err, ensemble.ErrNoNode):
		return reply{Outcome: done, Zxid: synced, Results: []result{{Path: path}}}
	case err != nil:
		return reply{Outcome: nothing, Error: err.Error()}
	}
	return reply{Outcome: done, Zxid: z.Zxid, Results: []result{{Path: path, Exists: true, Tag: tagOf(z.Data), Version: z.Stat.Version.Int(),
		Czxid: z.Stat.Czxid, Owner: uint64(z.Stat.EphemeralOwner)}}}
}

func failed(err error) reply {
	if err == nil {
		return reply{Outcome: done}
	}
	a := reply{Error: err.Error(), Outcome: nothing, Index: -1}
	var op *ensemble.OpError
	switch {
	case errors.Is(err, ensemble.ErrUncertain):
		a.Outcome = unknown
	case errors.Is(err, ensemble.ErrSessionExpired):
		a.Code = codeExpired
	case errors.As(err, &op):
		a.Outcome, a.Code, a.Index = refused, codeOf(err), op.Index
	}
	return a
}
