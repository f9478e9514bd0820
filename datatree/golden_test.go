package datatree

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// The traces in testdata/golden are what Apache ZooKeeper 3.8 answered; FORMAT.md describes them. A trace is replayed until the first step
// that changed ZooKeeper's tree by means that this package refuses (ephemerals, containers, TTL, ACLs). Before that, no step that changed the
// tree is left out; reads and refusals that concern such means, sessions or watches are.

type goldenStep struct {
	Op      string       `json:"op"`
	Path    string       `json:"path"`
	PathB64 *string      `json:"path_b64"`
	Data    *string      `json:"data"`
	DataLen int          `json:"data_len"`
	ACL     *[]goldenACL `json:"acl"`
	Mode    string       `json:"mode"`
	Flags   *int         `json:"flags"`
	Version int32        `json:"version"`
	Ops     []goldenStep `json:"ops"`
	Quirk   string       `json:"quirk"`
	Res     goldenRes    `json:"res"`
}

type goldenACL struct {
	Perms  int    `json:"perms"`
	Scheme string `json:"scheme"`
	ID     string `json:"id"`
}

type goldenRes struct {
	Err      int         `json:"err"`
	Name     string      `json:"name"`
	Ord      int         `json:"ord"`
	Path     string      `json:"path"`
	Data     *string     `json:"data"`
	Stat     *goldenStat `json:"stat"`
	Children []string    `json:"children"`
	Count    int         `json:"count"`
	Results  []goldenRes `json:"results"`
}

type goldenStat struct {
	CzxidOrd       int   `json:"czxid_ord"`
	MzxidOrd       int   `json:"mzxid_ord"`
	PzxidOrd       int   `json:"pzxid_ord"`
	CtimeEqMtime   bool  `json:"ctime_eq_mtime"`
	MtimeChanged   *bool `json:"mtime_changed"`
	Version        int32 `json:"version"`
	Cversion       int32 `json:"cversion"`
	Aversion       int32 `json:"aversion"`
	DataLength     int   `json:"dataLength"`
	NumChildren    int   `json:"numChildren"`
	EphemeralOwner int   `json:"ephemeralOwner"`
}

var goldenErrors = map[string]error{
	"NoNode": ErrNoNode, "NodeExists": ErrNodeExists, "BadVersion": ErrBadVersion, "NotEmpty": ErrNotEmpty,
	"NoChildrenForEphemerals": ErrNoChildrenForEphemerals, "BadArguments": ErrBadArguments, "NoAuth": ErrNoAuth,
}

func (s *goldenStep) path() string {
	if s.PathB64 != nil {
		b, _ := base64.StdEncoding.DecodeString(*s.PathB64)
		return string(b)
	}
	return s.Path
}

func (s *goldenStep) data() []byte {
	switch {
	case s.DataLen > 0:
		return bytes.Repeat([]byte("x"), s.DataLen)
	case s.Data == nil:
		return nil
	}
	b, _ := base64.StdEncoding.DecodeString(*s.Data)
	return append([]byte{}, b...)
}

// op returns the operation, or nil when we do not offer it.
func (s *goldenStep) op() Op {
	if s.ACL != nil && !slices.Equal(*s.ACL, []goldenACL{{31, "world", "anyone"}}) || s.Flags != nil {
		return nil
	}
	switch s.Op {
	case "create", "create2":
		switch s.Mode {
		case "persistent":
			return CreateOp{Path: s.path(), Data: s.data()}
		case "persistent_sequential":
			return CreateOp{Path: s.path(), Data: s.data(), Mode: Sequential}
		}
	case "set":
		return SetOp{Path: s.path(), Data: s.data(), Version: VersionOf(s.Version)}
	case "delete":
		return DeleteOp{Path: s.path(), Version: VersionOf(s.Version)}
	case "check":
		return CheckOp{Path: s.path(), Version: VersionOf(s.Version)}
	}
	return nil
}

func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/golden/*.jsonl*")
	var total, writes int
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".jsonl"), func(t *testing.T) {
			g := replayGolden(t, file)
			t.Logf("%d of %d steps compared (%d writes that changed the tree, %d refusals, %d reads), %d that do not concern the tree, %s",
				g.writes+g.refused+g.reads, g.steps, g.writes, g.refused, g.reads, g.skipped, g.end)
			total += g.writes + g.refused + g.reads
			writes += g.writes
			if strings.HasPrefix(filepath.Base(file), "basic-") && g.end != "to the end" {
				t.Errorf("a trace of basic operations ended early: %s", g.end)
			}
		})
	}
	t.Logf("%d steps compared, %d of them changed the tree", total, writes)
	if total < 8000 || writes < 3000 {
		t.Errorf("only %d steps, %d writes: are the traces there?", total, writes)
	}
}

type golden struct {
	t                                      *testing.T
	trees                                  [2]*Tree // one that prepares, one that only applies
	z                                      zab.Zxid
	ords                                   map[int]zab.Zxid
	mtimes                                 [2]map[string]int64 // last shown, by path and czxid; for each tree its own, because a multi shows several
	steps, writes, refused, reads, skipped int
	end                                    string
}

func replayGolden(t *testing.T, file string) *golden {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	g := &golden{t: t, trees: [2]*Tree{New(2 << 20), New(2 << 20)}, ords: map[int]zab.Zxid{0: 0}, mtimes: [2]map[string]int64{{}, {}}, end: "to the end"}
	in := bufio.NewReaderSize(r, 1<<20)
	for line := 0; ; line++ {
		b, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		if line == 0 {
			continue
		}
		var s goldenStep
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		g.steps++
		if g.end != "to the end" {
			continue
		}
		if msg := g.step(&s); msg != "" {
			t.Fatalf("line %d: %s\n%s", line+1, msg, b)
		}
		if a, b := g.trees[0].Digest(), g.trees[1].Digest(); a != b || a != recompute(g.trees[0].View()) {
			t.Fatalf("line %d: digests differ", line+1)
		}
	}
	return g
}

func (g *golden) step(s *goldenStep) string {
	g.z++
	switch s.Op {
	case "get", "exists", "children", "children2", "count", "getACL":
		return g.read(s)
	case "multi":
		var ops []Op
		for i := range s.Ops {
			op := s.Ops[i].op()
			if op == nil {
				return g.unsupported(s)
			}
			ops = append(ops, op)
		}
		return g.write(s, ops, true)
	case "create", "create2", "set", "delete", "check":
		op := s.op()
		if op == nil {
			return g.unsupported(s)
		}
		return g.write(s, []Op{op}, false)
	}
	return g.unsupported(s)
}

// unsupported leaves a step out, or ends the trace when it changed the tree.
func (g *golden) unsupported(s *goldenStep) string {
	if s.Res.Ord == 0 {
		g.skipped++
		return ""
	}
	if s.Op == "close" { // no ephemerals yet: it changed nothing
		g.ords[s.Res.Ord] = g.z
		g.skipped++
		return ""
	}
	g.end = "to an unsupported " + s.Op + " " + s.Mode
	return ""
}

func (g *golden) write(s *goldenStep, ops []Op, multi bool) string {
	want, failed := goldenErrors[s.Res.Name], -1
	for i, r := range s.Res.Results {
		if r.Err != 0 {
			want, failed = goldenErrors[r.Name], i
			break
		}
	}
	if s.Res.Err != 0 {
		failed = 0
	}
	if failed >= 0 && want == nil {
		return "the trace has an error we have not: " + s.Res.Name
	}
	b, err := AppendOps(nil, ops, multi, 2<<20)
	if err == nil {
		ops, multi, err = DecodeOps(b)
	}
	at := int64(g.z) * 10
	var txn []byte
	if err == nil {
		txn, err = g.trees[0].Prepare(g.z, at, ops, multi, nil)
	}
	if failed >= 0 {
		var oe *OpError
		switch {
		case err == nil:
			return fmt.Sprintf("succeeded, want %v", want)
		case !errors.As(err, &oe):
			return fmt.Sprintf("%T is no OpError", err)
		case errors.Is(err, ErrBadPath):
			// We check every path before anything else. ZooKeeper's server, which leaves that to its client, notices fewer or later: what it
			// then says is BadArguments or NoNode, of this op or of an earlier one.
			if want != ErrBadArguments && want != ErrNoNode && !multi {
				return fmt.Sprintf("%v, want %v", err, want)
			}
		case !errors.Is(err, want):
			return fmt.Sprintf("%v, want %v", err, want)
		case multi && oe.Index != failed || !multi && oe.Index != -1:
			return fmt.Sprintf("index %d, want %d", oe.Index, failed)
		}
		g.refused++
		return ""
	}
	if err != nil {
		return "refused: " + err.Error()
	}
	g.ords[s.Res.Ord] = g.z
	g.writes++
	for n, tree := range g.trees {
		results, err := tree.Apply(g.z, at, txn)
		if err != nil {
			return err.Error()
		}
		if len(results) != len(ops) {
			return fmt.Sprintf("%d results", len(results))
		}
		want := s.Res.Results
		if !multi {
			want = []goldenRes{s.Res}
		}
		for i, r := range results {
			if want[i].Path != "" && r.Path != want[i].Path {
				return fmt.Sprintf("op %d: path %q, want %q", i, r.Path, want[i].Path)
			}
			if msg := g.stat(n, r.Path, r.Stat, want[i].Stat); msg != "" {
				return fmt.Sprintf("op %d: %s", i, msg)
			}
		}
	}
	return ""
}

func (g *golden) read(s *goldenStep) string {
	if s.path() == "" {
		g.skipped++ // an alias of "/" in ZooKeeper's server, refused by its client
		return ""
	}
	v := g.trees[1].View()
	defer v.Release()
	z, ok := v.Get(s.path())
	if z2, ok2 := g.trees[0].Get(s.path()); ok != ok2 || ok && (z.Stat != z2.Stat || !bytes.Equal(z.Data, z2.Data)) {
		return "trees differ"
	}
	switch s.Res.Name {
	case "OK":
		if !ok {
			return "not there"
		}
	case "NoNode", "BadArguments": // exists says BadArguments for NUL
		if ok {
			return "there"
		}
		g.reads++
		return ""
	default:
		g.skipped++
		return ""
	}
	g.reads++
	if s.Op == "get" {
		want := (&goldenStep{Data: s.Res.Data}).data()
		if s.Path == configPath {
			want = z.Data // the membership of the recorded server
		}
		if (want == nil) != (z.Data == nil) || !bytes.Equal(want, z.Data) {
			return fmt.Sprintf("data %q (nil: %v), want %q (nil: %v)", z.Data, z.Data == nil, want, want == nil)
		}
	}
	if s.Op == "children" || s.Op == "children2" {
		names, _ := v.ChildNames(s.path())
		if !slices.Equal(names, s.Res.Children) {
			return fmt.Sprintf("children %q, want %q", names, s.Res.Children)
		}
	}
	if s.Op == "count" {
		n := -1 // not itself
		for range v.Walk(s.path()) {
			n++
		}
		if n != s.Res.Count {
			return fmt.Sprintf("%d descendants, want %d", n, s.Res.Count)
		}
	}
	if msg := g.stat(0, s.path(), z.Stat, s.Res.Stat); msg != "" {
		return msg
	}
	return g.stat(1, s.path(), z.Stat, s.Res.Stat)
}

func (g *golden) stat(tree int, path string, have Stat, want *goldenStat) string {
	if want == nil {
		return ""
	}
	zxid := func(ord int) zab.Zxid {
		z, ok := g.ords[ord]
		if !ok {
			g.t.Fatalf("ordinal %d unknown", ord)
		}
		return z
	}
	h := goldenStat{
		Version: have.Version.Int(), Cversion: have.Cversion, Aversion: have.Aversion.Int(), DataLength: have.DataLength, NumChildren: have.NumChildren,
		EphemeralOwner: int(have.EphemeralOwner) - 1, CtimeEqMtime: have.Ctime.Equal(have.Mtime),
	}
	w := *want
	w.CzxidOrd, w.MzxidOrd, w.PzxidOrd, w.MtimeChanged = 0, 0, 0, nil
	if path == configPath {
		w.DataLength = h.DataLength
	}
	if h != w {
		return fmt.Sprintf("stat %+v, want %+v", h, w)
	}
	if have.Czxid != zxid(want.CzxidOrd) || have.Mzxid != zxid(want.MzxidOrd) || have.Pzxid != zxid(want.PzxidOrd) {
		return fmt.Sprintf("zxids %v %v %v", have.Czxid, have.Mzxid, have.Pzxid)
	}
	key := fmt.Sprint(path, have.Czxid)
	now := have.Mtime.UnixMilli()
	if last, ok := g.mtimes[tree][key]; want.MtimeChanged != nil && ok && (last != now) != *want.MtimeChanged {
		return fmt.Sprintf("mtime %d after %d", now, last)
	}
	g.mtimes[tree][key] = now
	return ""
}
