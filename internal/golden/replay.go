package golden

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ensemble-go/ensemble/datatree"
	"github.com/ensemble-go/ensemble/zab"
)

// Subject is what a trace is replayed on. Sessions are numbers from 0; the session s owns ephemerals as s+1. Every call returns when all it leads to has happened.
type Subject interface {
	// Step tells that the next step begins, at a time in milliseconds.
	Step(clock int64)
	// Open begins a connection of a session, whose identities are then those given. A former one has ended.
	Open(s int, identities ...datatree.Identity)
	// Disconnect ends it, and with it its watches.
	Disconnect(s int)
	// End ends a session: its ephemerals go, in the transaction returned.
	End(s int) (zab.Zxid, error)
	// Caller returns who the session is.
	Caller(s int) *datatree.Caller
	// Authenticate shows a credential, and returns whether it is accepted.
	Authenticate(s int, scheme string, credential []byte) bool
	// Write returns the results as each of the trees that are compared has them. What is refused is an *datatree.OpError. If it should be refused and
	// would not be, nothing is written and the error is nil.
	Write(s int, ops []datatree.Op, multi, refused bool) (zab.Zxid, [][]datatree.Result, error)
	// Reap removes what is due.
	Reap() (paths []string, zxids []zab.Zxid, err error)
	// Reader returns the newest state where the session is; release it.
	Reader(s int) *datatree.View
	// Watcher returns the watches of the connection.
	Watcher(s int) *datatree.Watcher
	// Ephemerals returns the paths of those that the session owns.
	Ephemerals(s int) []string
	// Events returns what the watchers were told since the last call.
	Events() []Event
	// Check compares what should be the same.
	Check() error
}

// Difference is an entry of differences.tsv: the step is answered in another way because of a quirk of the recorded server that it shows, or that an
// earlier step shows which Follows says.
type Difference struct {
	Follows int
	Why     string
}

// Differences reads such a file: by trace, and by line.
func Differences(file string) (map[string]map[int]Difference, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all := map[string]map[int]Difference{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var d Difference
		var n int
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 || f[3] == "" {
			return nil, fmt.Errorf("not an entry: %q", line)
		}
		if _, err := fmt.Sscan(f[1]+" "+f[2], &n, &d.Follows); err != nil {
			return nil, err
		}
		d.Why = f[3]
		if all[f[0]] == nil {
			all[f[0]] = map[int]Difference{}
		}
		all[f[0]][n] = d
	}
	return all, nil
}

// Report is what became of a trace.
type Report struct {
	Steps, Compared, Differing int
	Skipped                    map[string]int // by reason
	Followed                   int            // of the skipped: they changed the recorded tree
	Faults                     []string
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// replayer is a replay that is under way.
type replayer struct {
	Report
	header Header
	on     Subject
	known  map[int]Difference
	quirks map[int]bool
	line   int
	events []Event // of the step
	clock  int64
	reaped int64 // when last
	ords   map[int]zab.Zxid
	mtimes []map[string]int64 // last shown, by path and czxid; for each tree its own, because a multi shows several
	opened []bool
}

// File replays the trace in a file, which may be compressed. Those steps differ that are known to, and no others.
func File(file string, known map[int]Difference, begin func(*Header) Subject) (*Report, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	in := bufio.NewReaderSize(r, 1<<20)
	var g *replayer
	for {
		b, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		if g == nil {
			var h Header
			if err := json.Unmarshal(b, &h); err != nil || h.Format != "zk-golden/1" {
				return nil, fmt.Errorf("%s is not a trace: %v", file, err)
			}
			g = newReplayer(h, known, begin)
			continue
		}
		var s Step
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, err
		}
		g.take(&s)
	}
	if g == nil {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return &g.Report, nil
}

// Steps replays steps that were recorded just now.
func Steps(h Header, steps []Step, begin func(*Header) Subject) *Report {
	g := newReplayer(h, nil, begin)
	for i := range steps {
		g.take(&steps[i])
	}
	return &g.Report
}

func newReplayer(h Header, known map[int]Difference, begin func(*Header) Subject) *replayer {
	return &replayer{
		Report: Report{Skipped: map[string]int{}}, header: h, on: begin(&h), known: known, quirks: map[int]bool{}, line: 1, ords: map[int]zab.Zxid{0: 0},
		opened: make([]bool, h.Sessions),
	}
}

func (s *Step) text() []byte {
	b, _ := json.Marshal(s) // what was read can be written
	return b
}

// take replays one step and judges it.
func (g *replayer) take(s *Step) {
	g.line++
	g.Report.Steps++
	g.clock++
	g.on.Step(g.clock)
	g.events = nil
	why := s.skip(&g.header)
	msg := g.step(s, why != "")
	g.events = append(g.events, g.on.Events()...)
	if s.Op == "close" || s.Op == "expire" {
		g.events = slices.DeleteFunc(g.events, func(e Event) bool { return e.S == s.S })
	}
	if msg == "" && why == "" {
		msg = g.compareEvents(s)
	}
	d, expected := g.known[g.line]
	g.quirks[g.line] = s.Quirk != "" && expected
	switch {
	case why != "":
		g.Skipped[why]++
		if expected {
			g.fault("line %d: among the differences, and not compared", g.line)
		}
		if msg != "" {
			g.fault("line %d: not compared, and what it changed cannot be followed: %s\n%s", g.line, msg, s.text())
		}
		if err := g.on.Check(); err != nil {
			g.fault("line %d: %v", g.line, err)
		}
		return
	case msg != "" && !expected:
		g.fault("line %d: %s\n%s", g.line, msg, s.text())
	case msg == "" && expected:
		g.fault("line %d: among the differences, and does not differ\n%s", g.line, s.text())
	case expected && s.Quirk == "" && !g.quirks[d.Follows]:
		g.fault("line %d: among the differences, with no quirk, nor following from one\n%s", g.line, s.text())
	case expected:
		g.Differing++
	}
	g.Compared++
	if err := g.on.Check(); err != nil {
		g.fault("line %d: %v", g.line, err)
	}
}

// step carries a step out and says what is not as it should be. One that is only to be followed, because it is not compared, is carried out if it changed the recorded tree.
func (g *replayer) step(s *Step, follow bool) string {
	if follow {
		if s.Res.Ord == 0 {
			return ""
		}
		g.Followed++
	}
	switch s.Op {
	case "open", "reconnect", "disconnect", "close", "expire":
		return g.session(s)
	case "multi":
		var ops []datatree.Op
		for i := range s.Ops {
			ops = append(ops, s.Ops[i].op())
		}
		return g.write(s, ops, true)
	case "create", "create2", "createContainer", "createTTL", "set", "delete", "setACL":
		return g.write(s, []datatree.Op{s.op()}, false)
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
func (g *replayer) session(s *Step) string {
	if !g.opened[s.S] && s.Op != "open" {
		return "no such session"
	}
	g.opened[s.S] = true
	if s.Op == "close" || s.Op == "expire" {
		z, err := g.on.End(s.S)
		if err != nil {
			return err.Error()
		}
		g.ords[s.Res.Ord] = z
	}
	if s.Op == "open" || s.Op == "reconnect" {
		g.on.Open(s.S, datatree.Identity{Scheme: "ip", ID: cmp.Or(s.IP, "127.0.0.1")})
	} else {
		g.on.Disconnect(s.S)
	}
	return ""
}

func (g *replayer) identities(s *Step) string {
	if s.Op == "addAuth" {
		ok := g.on.Authenticate(s.S, s.Scheme, fromBase64(s.Auth))
		if !ok {
			g.on.Disconnect(s.S) // the connection ends
		}
		if ok != (s.Res.Err == 0) {
			return fmt.Sprintf("accepted: %v", ok)
		}
		return ""
	}
	var have []Identity
	for _, id := range g.on.Caller(s.S).Identities {
		if id.Scheme == "digest" {
			id.ID, _, _ = strings.Cut(id.ID, ":")
		}
		have = append(have, Identity{id.Scheme, id.ID})
	}
	slices.SortFunc(have, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.User, b.User))
	})
	if !slices.Equal(have, s.Res.Identities) {
		return fmt.Sprintf("identities %v", have)
	}
	return ""
}

func (g *replayer) watch(s *Step) string {
	w := g.on.Watcher(s.S)
	types := map[string]datatree.WatchType{
		"data": datatree.WatchData, "children": datatree.WatchChild, "any": ^datatree.WatchType(0), "persistent": datatree.WatchPersistent,
		"recursive": datatree.WatchRecursive,
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
		w.Restore(after, datatree.Kept{Data: s.Datas, Exist: s.Exists, Child: s.Childs, Persistent: s.Persists, Recursive: s.Recurses})
	}
	if err != s.Res.Name {
		return err
	}
	return ""
}

func (g *replayer) reap(s *Step) string {
	g.clock = max(g.clock, g.reaped+s.Advance)
	g.reaped = g.clock
	g.on.Step(g.clock)
	paths, zxids, err := g.on.Reap()
	if err != nil {
		return err.Error()
	}
	for i, z := range zxids {
		if i < len(s.Res.Ords) {
			g.ords[s.Res.Ords[i]] = z
		}
	}
	if !slices.Equal(paths, s.Res.Paths) {
		return fmt.Sprintf("removed %q", paths)
	}
	return ""
}

func (g *replayer) write(s *Step, ops []datatree.Op, multi bool) string {
	want, ok := errorsByName[s.Res.Name]
	failed := -1
	if s.Res.Err != 0 {
		failed = 0
	}
	for i, r := range s.Res.Results {
		if r.Err != 0 {
			want, ok = errorsByName[r.Name]
			failed = i
			break
		}
	}
	if !ok {
		return "an error we have not"
	}
	z, trees, err := g.on.Write(s.S, ops, multi, failed >= 0)
	if err != nil {
		var oe *datatree.OpError
		switch {
		case failed < 0:
			return "refused: " + err.Error()
		case !errors.As(err, &oe):
			return fmt.Sprintf("%T is no OpError: %v", err, err)
		case !errors.Is(err, want):
			return fmt.Sprintf("%v, want %v", err, want)
		case multi && oe.Index != failed || !multi && oe.Index != -1:
			return fmt.Sprintf("index %d, want %d", oe.Index, failed)
		}
		return ""
	}
	if failed >= 0 {
		return fmt.Sprintf("succeeded, want %v", want)
	}
	g.ords[s.Res.Ord] = z
	for n, results := range trees {
		if len(results) != len(ops) {
			return fmt.Sprintf("%d results", len(results))
		}
		want := s.Res.Results
		if !multi {
			want = []Res{s.Res}
		}
		for i, r := range results {
			if want[i].Path != "" && r.Path != want[i].Path {
				return fmt.Sprintf("op %d: path %q, want %q", i, r.Path, want[i].Path)
			}
			if o, ok := ops[i].(datatree.CreateOp); ok && (r.Stat.Mode != o.Mode&^datatree.Sequential || r.Stat.TTL != o.TTL) {
				return fmt.Sprintf("op %d: %v with TTL %v", i, r.Stat.Mode, r.Stat.TTL)
			}
			if msg := g.stat(n, r.Path, r.Stat, want[i].Stat); msg != "" {
				return fmt.Sprintf("op %d: %s", i, msg)
			}
		}
	}
	return ""
}

const configPath = "/zookeeper/config"

func (g *replayer) read(s *Step) string {
	want, ok := errorsByName[s.Res.Name]
	if !ok {
		return "an error we have not"
	}
	path := s.path()
	v := g.on.Reader(s.S)
	defer v.Release()
	a, watcher := v.For(g.on.Caller(s.S)), g.on.Watcher(s.S)
	var (
		z     datatree.Znode
		names []string
		list  []datatree.ACL
		n     int
		err   error
	)
	switch s.Op {
	case "get":
		if z, err = a.Get(path); s.Watch {
			z, err = watcher.Get(path)
		}
	case "exists":
		if z.Stat, err = a.Exists(path); s.Watch {
			z.Stat, err = watcher.Exists(path)
		}
	case "children", "children2":
		if names, z.Stat, err = a.Children(path); s.Watch {
			names, z.Stat, err = watcher.Children(path)
		}
	case "getACL":
		list, z.Stat, err = a.ACL(path)
	case "count":
		n, err = a.Count(path)
	case "ephemerals":
		names = slices.DeleteFunc(g.on.Ephemerals(s.S), func(p string) bool { return !strings.HasPrefix(p, path) })
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
		have, want := z.Data, (&Step{Data: s.Res.Data}).data()
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
	var acl []datatree.ACL
	for _, e := range s.Res.ACL {
		acl = append(acl, datatree.ACL{Perm: datatree.Perm(e.Perms), Scheme: *e.Scheme, ID: *e.ID})
	}
	if !slices.Equal(list, acl) {
		return fmt.Sprintf("ACL %v, want %v", list, acl)
	}
	for tree := range max(1, len(g.mtimes)) {
		if msg := g.stat(tree, path, z.Stat, s.Res.Stat); msg != "" {
			return msg
		}
	}
	return ""
}

func (g *replayer) stat(tree int, path string, have datatree.Stat, want *Stat) string {
	if want == nil {
		return ""
	}
	h := Stat{
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
	for len(g.mtimes) <= tree {
		g.mtimes = append(g.mtimes, map[string]int64{})
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
func (g *replayer) compareEvents(s *Step) string {
	have, want := map[int][]Event{}, map[int][]Event{}
	for _, e := range g.events {
		have[e.S] = append(have[e.S], e)
	}
	for _, e := range s.Events {
		want[e.S] = append(want[e.S], e)
	}
	if s.EventsSet {
		for _, all := range []map[int][]Event{have, want} {
			for _, list := range all {
				slices.SortFunc(list, func(a, b Event) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Type, b.Type)) })
			}
		}
	}
	if !maps.EqualFunc(have, want, slices.Equal) {
		return fmt.Sprintf("events %v, want %v", have, want)
	}
	return ""
}
