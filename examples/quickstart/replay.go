package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble"
)

// step is a line of a trace: a request, and what ZooKeeper answered.
type step struct {
	call
	S   int    `json:"s"`
	Ops []call `json:"ops"`
	Res struct {
		answer
		Results  []answer `json:"results"`
		Children []string `json:"children"`
		Count    *int     `json:"count"`
		Ord      uint64   `json:"ord"`
	} `json:"res"`
}

type call struct {
	Op      string  `json:"op"`
	Path    string  `json:"path"`
	Raw     []byte  `json:"path_b64"`
	Data    *string `json:"data"`
	Length  int     `json:"data_len"`
	Mode    string  `json:"mode"`
	Version int32   `json:"version"`
}

type answer struct {
	Name string          `json:"name"`
	Path string          `json:"path"`
	Data json.RawMessage `json:"data"`
	Stat *struct {
		Czxid   uint64 `json:"czxid_ord"`
		Mzxid   uint64 `json:"mzxid_ord"`
		Pzxid   uint64 `json:"pzxid_ord"`
		Version int32  `json:"version"`
		Cver    int32  `json:"cversion"`
		Aver    int32  `json:"aversion"`
		Length  int    `json:"dataLength"`
		Kids    int    `json:"numChildren"`
	} `json:"stat"`
}

// recorded names our errors as ZooKeeper does.
var recorded = []struct {
	err  error
	name string
}{
	{ensemble.ErrNoNode, "NoNode"}, {ensemble.ErrNodeExists, "NodeExists"}, {ensemble.ErrBadVersion, "BadVersion"},
	{ensemble.ErrNotEmpty, "NotEmpty"}, {ensemble.ErrBadPath, "BadArguments"}, {ensemble.ErrBadArguments, "BadArguments"},
}

func nameOf(err error) string {
	if err == nil {
		return "OK"
	}
	for _, r := range recorded {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return err.Error()
}

// replayer knows which of our transactions is which of ZooKeeper's successful writes.
type replayer struct {
	c    *cluster
	ords map[uint64]ensemble.Zxid
	last ensemble.Zxid
}

// replay runs a trace, each session's requests on a member of its own, and takes the leader away in the middle of it.
func (c *cluster) replay(ctx context.Context, name string) (string, error) {
	steps, err := load(name)
	if err != nil {
		return "", err
	}
	if err := c.openAll(ctx); err != nil {
		return "", err
	}
	r := &replayer{c: c, ords: map[uint64]ensemble.Zxid{0: 0}}
	var gone ensemble.ID
	for i, s := range steps {
		switch i {
		case len(steps) / 3:
			if gone, err = c.leader(ctx); err != nil {
				return "", err
			}
			fmt.Printf("step %d: the leader, member %d, is killed\n", i+1, gone)
			c.nodes[gone].Close()
		case 2 * len(steps) / 3:
			fmt.Printf("step %d: member %d comes back\n", i+1, gone)
			if err := c.open(ctx, gone); err != nil {
				return "", err
			}
			if err := c.nodes[gone].Ready(ctx); err != nil {
				return "", err
			}
		}
		at := members[s.S%len(members)].ID
		if at == gone && i < 2*len(steps)/3 {
			at = at%3 + 1
		}
		if err := r.run(ctx, c.nodes[at], &s); err != nil {
			return "", fmt.Errorf("%s, step %d, %s %q on member %d: %w", name, i+1, s.Op, s.Path, at, err)
		}
	}
	if err := c.agree(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("- %d steps of %s gave what ZooKeeper answered, across a change of leader", len(steps), name), nil
}

func load(name string) ([]step, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	var header struct {
		Format string `json:"format"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &header) != nil || header.Format != "zk-golden/1" {
		return nil, fmt.Errorf("%s: not a recorded trace", name)
	}
	var steps []step
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		steps = append(steps, s)
	}
	return steps, lines.Err()
}

// run carries out one step on n, which first waits for all that the trace has written so far.
func (r *replayer) run(ctx context.Context, n *ensemble.Node, s *step) error {
	if err := n.Await(ctx, r.last); err != nil {
		return err
	}
	path := s.path()
	switch s.Op {
	case "open", "close":
		return nil
	case "sync":
		_, err := n.Sync(ctx)
		return err
	case "create", "create2", "set", "delete":
		op, err := s.write()
		if err != nil {
			return err
		}
		res, err := n.Do(ctx, op)
		if err == nil {
			r.wrote(s.Res.Ord, res.Zxid)
		}
		return r.compare(&s.Res.answer, err, res.Path, &res.Stat)
	case "multi":
		return r.multi(ctx, n, s)
	case "get":
		z, err := n.Get(ctx, path)
		if err == nil {
			if want := data(s.Res.Data); string(want) != string(z.Data) || (want == nil) != (z.Data == nil) {
				return fmt.Errorf("data %q, not %q", z.Data, want)
			}
		}
		return r.compare(&s.Res.answer, err, "", &z.Stat)
	case "exists":
		stat, ok, err := n.Exists(ctx, path)
		if err == nil && !ok {
			err = ensemble.ErrNoNode
		}
		return r.compare(&s.Res.answer, err, "", &stat)
	case "children", "children2":
		names, err := n.Children(ctx, path)
		var stat ensemble.Stat
		if err == nil {
			if stat, _, err = n.Exists(ctx, path); err == nil && !slices.Equal(names, s.Res.Children) {
				return fmt.Errorf("children %q, not %q", names, s.Res.Children)
			}
		}
		return r.compare(&s.Res.answer, err, "", &stat)
	case "count":
		_, _, err := n.Exists(ctx, path)
		count := -1
		for range n.View().Walk(path) {
			count++
		}
		if err == nil && count < 0 {
			err = ensemble.ErrNoNode
		}
		if err == nil && s.Res.Count != nil && count != *s.Res.Count {
			return fmt.Errorf("%d descendants, not %d", count, *s.Res.Count)
		}
		return r.compare(&s.Res.answer, err, "", nil)
	}
	return errors.New("this example does not know the operation; try a basic-* trace")
}

func (r *replayer) multi(ctx context.Context, n *ensemble.Node, s *step) error {
	ops := make([]ensemble.Op, 0, len(s.Ops))
	for i := range s.Ops {
		op, err := s.Ops[i].write()
		if err != nil {
			return err
		}
		ops = append(ops, op)
	}
	results, err := n.Multi(ctx, ops...)
	if err != nil {
		if errors.Is(err, ensemble.ErrBadPath) {
			return r.malformed(s)
		}
		// The first op that failed has its error, those before it OK, those after it nothing of interest.
		var oe *ensemble.OpError
		if !errors.As(err, &oe) || oe.Index < 0 {
			return err
		}
		for i, want := range s.Res.Results[:oe.Index+1] {
			got := "OK"
			if i == oe.Index {
				got = nameOf(err)
			}
			if got != want.Name {
				return fmt.Errorf("op %d: %s, not %s", i, got, want.Name)
			}
		}
		return nil
	}
	if len(results) != len(s.Res.Results) {
		return fmt.Errorf("%d results, not %d", len(results), len(s.Res.Results))
	}
	if len(results) > 0 {
		r.wrote(s.Res.Ord, results[0].Zxid)
	}
	for i, res := range results {
		if err := r.compare(&s.Res.Results[i], nil, res.Path, &res.Stat); err != nil {
			return fmt.Errorf("op %d: %w", i, err)
		}
	}
	return nil
}

// malformed is for a multi in which a path is malformed. We look at every path before anything else; ZooKeeper's server leaves that to its
// client, and may have noticed an earlier op. Both refuse it.
func (r *replayer) malformed(s *step) error {
	for _, a := range s.Res.Results {
		if a.Name != "OK" {
			return nil
		}
	}
	return errors.New("refused for a malformed path, which ZooKeeper took")
}

func (r *replayer) wrote(ord uint64, z ensemble.Zxid) {
	r.ords[ord], r.last = z, z
}

func (r *replayer) compare(want *answer, err error, path string, stat *ensemble.Stat) error {
	if errors.Is(err, ensemble.ErrBadPath) && want.Name == "NoNode" {
		return nil // as in malformed
	}
	if got := nameOf(err); got != want.Name && want.Name != "" {
		return fmt.Errorf("%s, not %s", got, want.Name)
	}
	if err != nil {
		return nil
	}
	if want.Path != "" && path != "" && path != want.Path {
		return fmt.Errorf("path %q, not %q", path, want.Path)
	}
	if want.Stat == nil || stat == nil {
		return nil
	}
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"czxid", stat.Czxid, r.ords[want.Stat.Czxid]}, {"mzxid", stat.Mzxid, r.ords[want.Stat.Mzxid]}, {"pzxid", stat.Pzxid, r.ords[want.Stat.Pzxid]},
		{"version", stat.Version.Int(), want.Stat.Version}, {"cversion", stat.Cversion, want.Stat.Cver}, {"aversion", stat.Aversion.Int(), want.Stat.Aver},
		{"length", stat.DataLength, want.Stat.Length}, {"children", stat.NumChildren, want.Stat.Kids},
	} {
		if x.got != x.want {
			return fmt.Errorf("%s is %v, not %v", x.what, x.got, x.want)
		}
	}
	return nil
}

func (c *call) path() string {
	if c.Raw != nil {
		return string(c.Raw)
	}
	return c.Path
}

// write returns the op that a step, or a part of a multi, asks for.
func (c *call) write() (ensemble.Op, error) {
	v, path := ensemble.VersionOf(c.Version), c.path()
	var body []byte
	switch {
	case c.Length > 0:
		body = []byte(strings.Repeat("x", c.Length))
	case c.Data != nil:
		var err error
		if body, err = base64.StdEncoding.DecodeString(*c.Data); err != nil {
			return nil, err
		}
	}
	switch c.Op {
	case "create", "create2":
		op := ensemble.CreateOp{Path: path, Data: body}
		if c.Mode == "persistent_sequential" {
			op.Mode = ensemble.Sequential
		}
		return op, nil
	case "set":
		return ensemble.SetOp{Path: path, Data: body, Version: v}, nil
	case "delete":
		return ensemble.DeleteOp{Path: path, Version: v}, nil
	case "check":
		return ensemble.CheckOp{Path: path, Version: v}, nil
	}
	return nil, fmt.Errorf("no operation of this example: %s", c.Op)
}

// data decodes what a get answered: null, or base64.
func data(raw json.RawMessage) []byte {
	var b []byte
	if json.Unmarshal(raw, &b) != nil {
		return nil
	}
	return b
}
