package datatree

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/zab"
)

// The traces in testdata/golden are what Apache ZooKeeper 3.8 answered; FORMAT.md describes them. They are replayed on a tree that prepares and applies, with
// its watches, and on one that only applies. differences.tsv says which steps we answer in another way, and why: no others may differ, and those must.

var goldenDir = flag.String("golden", "testdata/golden", "the `directory` with the traces")

func TestGolden(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(*goldenDir, "*.jsonl*"))
	known := readDifferences(t)
	var compared, differing, steps, recorded int
	skipped := map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".jsonl")
		t.Run(name, func(t *testing.T) {
			g := replayGolden(t, file, known[name])
			compared += g.compared
			differing += g.differing
			steps += g.steps
			if !strings.HasPrefix(name, "basic-") {
				recorded += g.compared
			}
			for why, n := range g.skipped {
				skipped[why] += n
			}
			t.Logf("%d steps: %d compared, %d of them differ, skipped %v", g.steps, g.compared, g.differing, g.skipped)
		})
		delete(known, name)
	}
	t.Logf("%d traces, %d steps: %d compared, %d of them differ, skipped %v", len(files), steps, compared, differing, skipped)
	t.Logf("of the directed, random and tree traces %d compared", recorded)
	if recorded < 28200 {
		t.Errorf("only %d steps compared: are the traces there?", recorded)
	}
	for name := range known {
		t.Errorf("differences.tsv speaks of %s, which is not there", name)
	}
}

// difference is an entry of differences.tsv: the step is answered in another way because of a quirk of the recorded server that it shows, or that an
// earlier step shows which follows says.
type difference struct {
	follows int
	why     string
}

func readDifferences(t *testing.T) map[string]map[int]difference {
	b, err := os.ReadFile("testdata/golden/differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[int]difference{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var d difference
		var n int
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 || f[3] == "" {
			t.Fatalf("not an entry: %q", line)
		}
		if _, err := fmt.Sscan(f[1]+" "+f[2], &n, &d.follows); err != nil {
			t.Fatal(err)
		}
		d.why = f[3]
		if all[f[0]] == nil {
			all[f[0]] = map[int]difference{}
		}
		all[f[0]][n] = d
	}
	return all
}

type golden struct {
	t        *testing.T
	header   goldenHeader
	trees    [2]*Tree // one that prepares, one that only applies
	sessions []*goldenSession
	events   []goldenEvent // of the step
	z        zab.Zxid
	clock    int64
	reaped   int64 // when last
	ords     map[int]zab.Zxid
	mtimes   [2]map[string]int64 // last shown, by path and czxid; for each tree its own, because a multi shows several

	steps, compared, differing int
	skipped                    map[string]int
}

type goldenSession struct {
	caller  *Caller
	watcher *Watcher
}

func replayGolden(t *testing.T, file string, known map[int]difference) *golden {
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
	g := &golden{
		t: t, trees: [2]*Tree{New(2 << 20), New(2 << 20)}, ords: map[int]zab.Zxid{0: 0}, mtimes: [2]map[string]int64{{}, {}}, skipped: map[string]int{},
	}
	in := bufio.NewReaderSize(r, 1<<20)
	quirks := map[int]bool{}
	for line := 1; ; line++ {
		b, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		if line == 1 {
			if err := json.Unmarshal(b, &g.header); err != nil || g.header.Format != "zk-golden/1" {
				t.Fatal("not a trace", err)
			}
			g.sessions = make([]*goldenSession, g.header.Sessions)
			for _, tree := range g.trees {
				tree.AddScheme("digest", Digest{Super: g.header.Config.SuperDigest})
			}
			continue
		}
		var s goldenStep
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		g.steps++
		g.clock++
		g.events = nil
		why := s.skip(&g.header)
		msg := g.step(&s, why != "")
		if msg == "" && why == "" {
			msg = g.compareEvents(&s)
		}
		d, expected := known[line]
		quirks[line] = s.Quirk != "" && expected
		switch {
		case why != "":
			g.skipped[why]++
			if expected {
				t.Errorf("line %d: among the differences, and not compared", line)
			}
			continue
		case msg != "" && !expected:
			t.Errorf("line %d: %s\n%s", line, msg, b)
		case msg == "" && expected:
			t.Errorf("line %d: among the differences, and does not differ\n%s", line, b)
		case expected && s.Quirk == "" && !quirks[d.follows]:
			t.Errorf("line %d: among the differences, with no quirk, nor following from one\n%s", line, b)
		case expected:
			g.differing++
		}
		g.compared++
		if a, b := g.trees[0].Digest(), g.trees[1].Digest(); a != b || g.steps%16 == 0 && a != recompute(g.trees[0].View()) {
			t.Fatalf("line %d: digests differ", line)
		}
	}
	if a := g.trees[0].Digest(); a != recompute(g.trees[0].View()) {
		t.Fatal("digests differ")
	}
	return g
}

// step carries a step out and says what is not as it should be. If it is only to be followed, that does not matter.
func (g *golden) step(s *goldenStep, follow bool) string {
	if follow && s.Res.Ord == 0 {
		return ""
	}
	switch s.Op {
	case "open", "reconnect", "disconnect", "close", "expire":
		return g.session(s)
	case "multi":
		var ops []Op
		for i := range s.Ops {
			ops = append(ops, s.Ops[i].op())
		}
		return g.write(s, ops, true)
	case "create", "create2", "createContainer", "createTTL", "set", "delete", "setACL":
		return g.write(s, []Op{s.op()}, false)
	case "multiRead":
		for i := range s.Ops {
			o := s.Ops[i]
			o.S, o.Watch, o.Res = s.S, false, s.Res.Results[i]
			if msg := g.read(&o); msg != "" {
				return msg
			}
		}
		return ""
	case "reap":
		return g.reap(s)
	case "addAuth", "whoAmI":
		return g.identities(s)
	case "addWatch", "removeWatches", "checkWatches", "setWatches":
		return g.watch(s)
	}
	return g.read(s)
}

// session replays what begins or ends a session or its connection.
func (g *golden) session(s *goldenStep) string {
	x := g.sessions[s.S]
	if x == nil {
		if s.Op != "open" {
			return "no such session"
		}
		x = &goldenSession{caller: &Caller{Session: uint64(s.S) + 1}}
		g.sessions[s.S] = x
	}
	if s.Op == "close" || s.Op == "expire" {
		g.z++
		txn, err := g.trees[0].Prepare(g.z, g.clock, []Op{CloseSessionOp{x.caller.Session}}, false, nil)
		if err != nil {
			return err.Error()
		}
		g.ords[s.Res.Ord] = g.z
		for _, tree := range g.trees {
			if _, err := tree.Apply(g.z, g.clock, txn); err != nil {
				return err.Error()
			}
		}
		g.events = slices.DeleteFunc(g.events, func(e goldenEvent) bool { return e.S == s.S })
	}
	if x.watcher != nil {
		x.watcher.Close()
	}
	if s.Op == "open" || s.Op == "reconnect" {
		ip := cmp.Or(s.IP, "127.0.0.1")
		x.caller.Identities = []Identity{{"ip", ip}}
		x.watcher = g.trees[0].Watch().New(x.caller, func(e WatchEvent) { g.events = append(g.events, goldenEvent{s.S, goldenEvents[e.Type], e.Path}) })
	}
	return ""
}

func (g *golden) identities(s *goldenStep) string {
	x := g.sessions[s.S]
	if s.Op == "addAuth" {
		ok := g.trees[0].Authenticate(x.caller, s.Scheme, fromBase64(s.Auth))
		if !ok {
			x.watcher.Close() // the connection ends
		}
		if ok != (s.Res.Err == 0) {
			return fmt.Sprintf("accepted: %v", ok)
		}
		return ""
	}
	var have []goldenIdentity
	for _, id := range x.caller.Identities {
		if id.Scheme == "digest" {
			id.ID, _, _ = strings.Cut(id.ID, ":")
		}
		have = append(have, goldenIdentity{id.Scheme, id.ID})
	}
	slices.SortFunc(have, func(a, b goldenIdentity) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.User, b.User))
	})
	if !slices.Equal(have, s.Res.Identities) {
		return fmt.Sprintf("identities %v", have)
	}
	return ""
}

func (g *golden) watch(s *goldenStep) string {
	w := g.sessions[s.S].watcher
	types := map[string]WatchType{
		"data": WatchData, "children": WatchChild, "any": ^WatchType(0), "persistent": WatchPersistent, "recursive": WatchRecursive,
	}[s.Type]
	err := "OK"
	switch s.Op {
	case "addWatch":
		w.Add(s.path(), types)
	case "removeWatches":
		if !w.Remove(s.path(), types) {
			err = "NoWatcher"
		}
	case "checkWatches":
		if w.Has(s.path())&types == 0 {
			err = "NoWatcher"
		}
	case "setWatches":
		after, ok := g.ords[s.RelOrd]
		if !ok {
			return "ordinal unknown"
		}
		w.Restore(after, Kept{s.Datas, s.Exists, s.Childs, s.Persists, s.Recurses})
	}
	if err != s.Res.Name {
		return err
	}
	return ""
}

func (g *golden) reap(s *goldenStep) string {
	g.clock = max(g.clock, g.reaped+s.Advance)
	g.reaped = g.clock
	var paths []string
	for i, op := range g.trees[0].Due(g.clock) {
		paths = append(paths, op.Path)
		g.z++
		txn, err := g.trees[0].Prepare(g.z, g.clock, []Op{op}, false, nil)
		if err != nil {
			return err.Error()
		}
		if i < len(s.Res.Ords) {
			g.ords[s.Res.Ords[i]] = g.z
		}
		for _, tree := range g.trees {
			if _, err := tree.Apply(g.z, g.clock, txn); err != nil {
				return err.Error()
			}
		}
	}
	if !slices.Equal(paths, s.Res.Paths) {
		return fmt.Sprintf("removed %q", paths)
	}
	return ""
}

func (g *golden) write(s *goldenStep, ops []Op, multi bool) string {
	want, ok := goldenErrors[s.Res.Name]
	failed := -1
	if s.Res.Err != 0 {
		failed = 0
	}
	for i, r := range s.Res.Results {
		if r.Err != 0 {
			want, ok = goldenErrors[r.Name]
			failed = i
			break
		}
	}
	if !ok {
		return "an error we have not"
	}
	g.z++
	who := g.sessions[s.S].caller
	var txn []byte
	b, err := AppendOps(nil, ops, multi, 2<<20)
	if err == nil {
		txn, err = g.trees[0].PrepareRequestFor(who, g.z, g.clock, b, nil)
	} else if txn, err = g.trees[0].PrepareFor(who, g.z, g.clock, ops, multi, nil); err == nil {
		return "prepared what is refused before it is sent"
	}
	if err != nil {
		var oe *OpError
		switch {
		case failed < 0:
			return "refused: " + err.Error()
		case !errors.As(err, &oe):
			return fmt.Sprintf("%T is no OpError", err)
		case !errors.Is(err, want):
			return fmt.Sprintf("%v, want %v", err, want)
		case multi && oe.Index != failed || !multi && oe.Index != -1:
			return fmt.Sprintf("index %d, want %d", oe.Index, failed)
		}
		return ""
	}
	if failed >= 0 {
		g.trees[0].Abandon()
		return fmt.Sprintf("succeeded, want %v", want)
	}
	g.ords[s.Res.Ord] = g.z
	for n, tree := range g.trees {
		results, err := tree.Apply(g.z, g.clock, txn)
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
			if o, ok := ops[i].(CreateOp); ok && (r.Stat.Mode != o.Mode&^Sequential || r.Stat.TTL != o.TTL) {
				return fmt.Sprintf("op %d: %v with TTL %v", i, r.Stat.Mode, r.Stat.TTL)
			}
			if msg := g.stat(n, r.Path, r.Stat, want[i].Stat); msg != "" {
				return fmt.Sprintf("op %d: %s", i, msg)
			}
		}
	}
	return ""
}

func (g *golden) read(s *goldenStep) string {
	want, ok := goldenErrors[s.Res.Name]
	if !ok {
		return "an error we have not"
	}
	x, path := g.sessions[s.S], s.path()
	v := g.trees[1].View()
	defer v.Release()
	a := v.For(x.caller)
	var (
		z     Znode
		names []string
		list  []ACL
		n     int
		err   error
	)
	switch s.Op {
	case "get":
		if z, err = a.Get(path); s.Watch {
			z, err = x.watcher.Get(path)
		}
	case "exists":
		if z.Stat, err = a.Exists(path); s.Watch {
			z.Stat, err = x.watcher.Exists(path)
		}
	case "children", "children2":
		if names, z.Stat, err = a.Children(path); s.Watch {
			names, z.Stat, err = x.watcher.Children(path)
		}
	case "getACL":
		list, z.Stat, err = a.ACL(path)
	case "count":
		n, err = a.Count(path)
	case "ephemerals":
		names = slices.DeleteFunc(g.trees[1].Ephemerals(x.caller.Session), func(p string) bool { return !strings.HasPrefix(p, path) })
		if !slices.Equal(names, s.Res.Paths) {
			return fmt.Sprintf("ephemerals %q", names)
		}
		return ""
	default:
		return "an operation we have not"
	}
	if err != want {
		return fmt.Sprintf("%v, want %v", err, want)
	}
	if err != nil {
		return ""
	}
	if s.Op == "get" {
		have, want := z.Data, (&goldenStep{Data: s.Res.Data}).data()
		if path == configPath && z.Stat.Mzxid == 0 {
			have = want // the membership of the recorded server
		}
		if (want == nil) != (have == nil) || !bytes.Equal(want, have) {
			return fmt.Sprintf("data %q (nil: %v), want %q (nil: %v)", have, have == nil, want, want == nil)
		}
	}
	if !slices.Equal(names, s.Res.Children) {
		return fmt.Sprintf("children %q, want %q", names, s.Res.Children)
	}
	if n != s.Res.Count {
		return fmt.Sprintf("%d descendants, want %d", n, s.Res.Count)
	}
	var acl []ACL
	for _, e := range s.Res.ACL {
		acl = append(acl, ACL{Perm(e.Perms), *e.Scheme, *e.ID})
	}
	if !slices.Equal(list, acl) {
		return fmt.Sprintf("ACL %v, want %v", list, acl)
	}
	return cmp.Or(g.stat(0, path, z.Stat, s.Res.Stat), g.stat(1, path, z.Stat, s.Res.Stat))
}

func (g *golden) stat(tree int, path string, have Stat, want *goldenStat) string {
	if want == nil {
		return ""
	}
	h := goldenStat{
		Version: have.Version.Int(), Cversion: have.Cversion, Aversion: have.Aversion.Int(), DataLength: have.DataLength, NumChildren: have.NumChildren,
		EphemeralOwner: int(have.EphemeralOwner) - 1, CtimeEqMtime: have.Ctime.Equal(have.Mtime),
	}
	w := *want
	w.CzxidOrd, w.MzxidOrd, w.PzxidOrd, w.MtimeChanged = 0, 0, 0, nil
	if path == configPath && have.Mzxid == 0 {
		w.DataLength = h.DataLength
	}
	if h != w {
		return fmt.Sprintf("stat %+v, want %+v", h, w)
	}
	for ord, z := range map[int]zab.Zxid{want.CzxidOrd: have.Czxid, want.MzxidOrd: have.Mzxid, want.PzxidOrd: have.Pzxid} {
		if want, ok := g.ords[ord]; !ok || want != z {
			return fmt.Sprintf("zxid %v for the ordinal %d, want %v", z, ord, want)
		}
	}
	key := fmt.Sprint(path, have.Czxid)
	now := have.Mtime.UnixMilli()
	last, ok := g.mtimes[tree][key]
	g.mtimes[tree][key] = now
	if want.MtimeChanged != nil && ok && (last != now) != *want.MtimeChanged {
		return fmt.Sprintf("mtime %d after %d", now, last)
	}
	return ""
}

// compareEvents compares what the sessions were told during a step, each in its order.
func (g *golden) compareEvents(s *goldenStep) string {
	have, want := map[int][]goldenEvent{}, map[int][]goldenEvent{}
	for _, e := range g.events {
		have[e.S] = append(have[e.S], e)
	}
	for _, e := range s.Events {
		want[e.S] = append(want[e.S], e)
	}
	if s.EventsSet {
		for _, all := range []map[int][]goldenEvent{have, want} {
			for _, list := range all {
				slices.SortFunc(list, func(a, b goldenEvent) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type)) })
			}
		}
	}
	if !maps.EqualFunc(have, want, slices.Equal) {
		return fmt.Sprintf("events %v, want %v", have, want)
	}
	return ""
}
