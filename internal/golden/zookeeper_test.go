//go:build zookeeper

package golden

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ensemble-go/ensemble/datatree"
)

var (
	zookeeperJar   = flag.String("zookeeper", "/usr/share/java/zookeeper.jar", "the `file` of Apache ZooKeeper 3.8.0")
	zookeeperSeeds = flag.Int("zookeeper-seeds", 100, "random programs")
	zookeeperFirst = flag.Uint64("zookeeper-first", 0, "the first seed; 0: one that nobody has tried")
	zookeeperSteps = flag.Int("zookeeper-steps", 300, "steps of each")
)

// Random programs run on Apache ZooKeeper, and again on our tree: every answer and every watch event must be the same. They keep away from what this
// release is known to do in another way (differences.tsv): exists without READ, several kinds of watches on one path.
func TestZooKeeper(t *testing.T) {
	java, err := exec.LookPath("java")
	if _, e := os.Stat(*zookeeperJar); err != nil || e != nil {
		t.Skipf("there is no Apache ZooKeeper: %v, %v (apt-get install zookeeper)", err, e)
	}
	addr := startZooKeeper(t, java)
	first := *zookeeperFirst
	if first == 0 {
		first = uint64(time.Now().UnixNano()) & (1<<40 - 1)
	}
	steps, failing, events := 0, 0, 0
	counts := map[string]int{}
	for seed := first; seed < first+uint64(*zookeeperSeeds); seed++ {
		p := &program{addr: addr, r: rand.New(rand.NewPCG(seed, 0)), base: fmt.Sprintf("/t%x", seed), ords: map[int64]int{}, clients: make([]*client, 5)}
		err := p.run(*zookeeperSteps)
		for _, c := range p.clients {
			if c != nil {
				_ = c.conn.Close()
			}
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		h := Header{Format: "zk-golden/1", Sessions: len(p.clients)}
		h.Config.Extended = true
		g := Steps(h, p.steps, func(h *Header) Subject { return NewTrees(h, nil) })
		if len(g.Faults) > 0 {
			t.Errorf("seed %d: %d of %d steps differ, the first: %s\nagain: -zookeeper-first %d -zookeeper-seeds 1", seed, len(g.Faults), g.Steps, g.Faults[0], seed)
		}
		if g.Compared != g.Steps {
			t.Errorf("seed %d: of %d steps %d were compared: %v", seed, g.Steps, g.Compared, g.Skipped)
		}
		steps += g.Compared
		for i := range p.steps {
			s := &p.steps[i]
			name := s.Res.Name
			for _, r := range s.Res.Results {
				if r.Err != 0 {
					name = r.Name
					break
				}
			}
			counts[name]++
			events += len(s.Events)
			if name != "OK" {
				failing++
			}
		}
	}
	t.Logf("seeds %d to %d: %d steps compared, %d refused, %d events; answers %v", first, first+uint64(*zookeeperSeeds)-1, steps, failing, events, counts)
	if steps < 100**zookeeperSeeds || events < 10**zookeeperSeeds {
		t.Error("that is too little")
	}
}

// startZooKeeper starts a server that ends with the test.
func startZooKeeper(t *testing.T, java string) (addr string) {
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr = l.Addr().String() // free now; if somebody else takes it, another is tried
		_ = l.Close()
		_, port, _ := net.SplitHostPort(addr)
		dir := t.TempDir()
		cfg := filepath.Join(dir, "zoo.cfg")
		text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\ntickTime=2000\nmaxSessionTimeout=120000\nmaxClientCnxns=0\nadmin.enableServer=false\n", dir, port)
		if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dzookeeper.extendedTypesEnabled=true", "-Dznode.container.checkIntervalMs=86400000",
			"-Dzookeeper.forceSync=no", "-cp", *zookeeperJar, "org.apache.zookeeper.server.ZooKeeperServerMain", cfg)
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		stop := func() {
			_ = cmd.Process.Kill()
			<-ended
			_ = log.Close()
		}
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for begun := time.Now(); time.Since(begun) < patience; {
			select {
			case err := <-ended:
				ended <- err
				begun = begun.Add(-patience)
			case <-every.C:
			}
			if c, err := dial(addr, 0); err == nil {
				_ = c.conn.Close()
				t.Cleanup(stop)
				return addr
			}
		}
		stop()
		b, _ := os.ReadFile(log.Name())
		t.Logf("no ZooKeeper at %s:\n%s", addr, b)
	}
	t.Fatal("ZooKeeper does not start")
	return ""
}

// program is one that is being run and recorded.
type program struct {
	addr    string
	r       *rand.Rand
	base    string // all its znodes are below it
	clients []*client
	ords    map[int64]int
	steps   []Step
	acls    bool
	several bool // sessions have several identities; then "auth" is not used, whose order ZooKeeper takes from a hash table
	opened  int
	there   []string // paths that were created and not deleted, about
	written time.Time
}

var errShape = errors.New("an answer that is shorter than it should be")

func (p *program) run(steps int) error {
	p.acls, p.several = p.r.IntN(2) == 0, p.r.IntN(2) == 0
	for range 3 {
		if err := p.do(Step{S: p.opened, Op: "open"}); err != nil {
			return err
		}
	}
	if err := p.do(Step{Op: "create2", Path: p.base, Data: encoded([]byte("base")), Mode: "persistent"}); err != nil {
		return err
	}
	for len(p.steps) < steps {
		if err := p.do(p.draw()); err != nil {
			return fmt.Errorf("step %d: %w", len(p.steps), err)
		}
	}
	return nil
}

// do has a step done, and records it.
func (p *program) do(s Step) error {
	s.Res.Name = "OK"
	switch s.Op {
	case "open":
		c, err := dial(p.addr, s.S)
		if err != nil {
			return err
		}
		p.clients[s.S] = c
		p.opened++
	case "close":
		c := p.clients[s.S]
		zxid, _, _, err := c.call(0, opcodes["close"], nil)
		if err != nil {
			return err
		}
		_ = c.conn.Close()
		p.success(zxid, &s.Res)
		s.EventsSet = true // the ephemerals go in any order
		p.clients[s.S] = nil
	default:
		if err := p.ask(p.clients[s.S], &s); err != nil {
			return err
		}
	}
	// The times of two writes differ, and all events of this step have come when each session has had another answer.
	for again := true; again; again = time.Since(p.written) < 2*time.Millisecond {
		for _, c := range p.clients {
			if c == nil {
				continue
			}
			if _, _, _, err := c.call(-2, 11, nil); err != nil {
				return err
			}
		}
	}
	for _, c := range p.clients {
		if c != nil {
			s.Events = append(s.Events, c.events...)
			c.events = nil
		}
	}
	p.steps = append(p.steps, s)
	p.note(&s, &s.Res)
	for i := range s.Res.Results {
		p.note(&s.Ops[i], &s.Res.Results[i])
	}
	return nil
}

// note keeps the list of what is there, so that the next steps meet it.
func (p *program) note(s *Step, res *Res) {
	switch {
	case res.Err != 0:
	case s.Op == "delete":
		p.there = slices.DeleteFunc(p.there, func(path string) bool { return path == s.Path })
	case res.Path != "" && res.Path != p.base && len(p.there) < 40:
		p.there = append(p.there, res.Path)
	}
}

// known draws a path that is there, mostly.
func (p *program) known() string {
	if len(p.there) == 0 || p.r.IntN(3) == 0 {
		return p.path()
	}
	return p.there[p.r.IntN(len(p.there))]
}

func (p *program) success(zxid int64, res *Res) {
	res.Ord = len(p.ords) + 1
	p.ords[zxid] = res.Ord
	p.written = time.Now()
}

func (p *program) ask(c *client, s *Step) error {
	xid := int32(0)
	if s.Op == "addAuth" {
		xid = -4
	}
	zxid, code, r, err := c.call(xid, opcodes[s.Op], body(s))
	if err != nil {
		return err
	}
	s.Res.Err, s.Res.Name = int(code), errorNames[code]
	if code != 0 {
		return nil
	}
	switch s.Op {
	case "create", "create2", "createContainer", "createTTL", "set", "delete", "setACL":
		p.success(zxid, &s.Res)
	case "multi":
		return p.multi(zxid, r, s)
	case "addWatch":
		if e := r.int(); e != 0 {
			return fmt.Errorf("addWatch says %d", e)
		}
	}
	p.result(s.Op, r, &s.Res)
	if r.bad {
		return errShape
	}
	return nil
}

func (p *program) multi(zxid int64, r *in, s *Step) error {
	at := *r // the ordinal must be there before the Stats are read
	if kind := at.int(); kind != -1 || len(s.Ops) == 0 {
		p.success(zxid, &s.Res)
	}
	for i := 0; ; i++ {
		kind, done, _ := r.int(), r.bool(), r.int()
		if done || r.bad {
			break
		}
		if i >= len(s.Ops) {
			return errShape
		}
		var res Res
		res.Name = "OK"
		switch kind {
		case -1:
			code := r.int()
			res.Err, res.Name = int(code), errorNames[code]
		case 1:
			p.result("create", r, &res)
		case 15:
			p.result("create2", r, &res)
		case 5:
			p.result("set", r, &res)
		}
		s.Res.Results = append(s.Res.Results, res)
	}
	if r.bad || len(s.Res.Results) != len(s.Ops) {
		return errShape
	}
	return nil
}

// path draws one of few: four deep at most.
func (p *program) path() string {
	path := p.base
	for range 1 + p.r.IntN(3) {
		path += "/" + string(rune('a'+p.r.IntN(3)))
	}
	switch p.r.IntN(60) {
	case 0:
		return path + "/"
	case 1:
		return path + "/./x"
	case 2:
		return path + "//x"
	case 3:
		return p.base
	}
	return path
}

func (p *program) version() int32 {
	if p.r.IntN(2) == 0 {
		return -1
	}
	return p.r.Int32N(4)
}

func (p *program) data() *string {
	switch p.r.IntN(10) {
	case 0:
		return nil
	case 1:
		return encoded([]byte{})
	}
	return encoded(fmt.Appendf(nil, "%x", p.r.Uint32()))
}

func grants(list ...Grant) json.RawMessage {
	if list == nil {
		list = []Grant{}
	}
	b, _ := json.Marshal(list) // strings and a number
	return b
}

func (p *program) acl() json.RawMessage {
	grant := func(perms int32, scheme, id string) Grant { return Grant{perms, &scheme, &id} }
	user := datatree.DigestID(fmt.Sprintf("u%d:pass", p.r.IntN(2)))
	auth := grant(31, "auth", "")
	if p.several {
		auth = grant(31, "digest", user)
	}
	switch p.r.IntN(9) {
	case 0:
		return grants()
	case 1:
		return grants(auth)
	case 2:
		return grants(grant(31, "digest", "nocolon"))
	case 3:
		return grants(grant(1, "world", "anyone"), auth)
	case 4:
		return grants(grant(31&^p.r.Int32N(32), "world", "anyone"))
	case 5:
		return grants(grant(31, "ip", "127.0.0.1"))
	case 6:
		return grants(grant(31, "ip", "10.0.0.0/8"), grant(1, "world", "anyone"))
	case 7:
		return grants(grant(31, "digest", user), grant(31, "digest", user), grant(15, "world", "anyone"))
	}
	return grants(grant(31, "world", "anyone"))
}

// change draws an operation that changes something; for a multi, check too.
func (p *program) change(inMulti bool) Step {
	s := Step{Path: p.known(), Data: p.data(), Version: p.version()}
	if p.acls && p.r.IntN(4) == 0 {
		s.ACL = p.acl()
	}
	switch x := p.r.IntN(20); {
	case x < 10:
		s.Version = 0
		if s.Path = p.path(); p.r.IntN(3) > 0 {
			s.Path = p.base + "/" + string(rune('a'+p.r.IntN(3)))
			if parent := p.known(); p.r.IntN(2) == 0 && strings.Count(parent, "/") < 5 {
				s.Path = parent + "/" + string(rune('a'+p.r.IntN(3)))
			}
		}
		s.Mode = []string{"persistent", "persistent", "persistent_sequential", "ephemeral", "ephemeral_sequential"}[p.r.IntN(5)]
		s.Op = []string{"create", "create2"}[p.r.IntN(2)]
		switch p.r.IntN(12) {
		case 0:
			s.Op, s.Mode = "createContainer", "container"
		case 1:
			s.Op, s.Mode, s.TTL = "createTTL", []string{"ttl", "ttl_sequential"}[p.r.IntN(2)], []int64{0, 1 << 39, 1 << 40, 1<<40 - 1}[p.r.IntN(4)]
		}
		if strings.HasSuffix(s.Mode, "sequential") && p.r.IntN(2) == 0 && !strings.HasSuffix(s.Path, "/") {
			s.Path += "/s-"
		}
		if s.Path == p.base {
			s.Path += "/a" // what is made beside it counts in "/", which is not the program's
		}
		return s
	case x < 14:
		s.Op, s.ACL = "set", nil
	case x < 18:
		s.Op, s.ACL, s.Data = "delete", nil, nil
		if s.Path == p.base {
			s.Path += "/b"
		}
	case inMulti:
		s.Op, s.ACL, s.Data = "check", nil, nil
	case p.acls:
		s.Op, s.ACL, s.Data = "setACL", p.acl(), nil
	default:
		s.Op, s.ACL = "set", nil
	}
	return s
}

func (p *program) draw() Step {
	var open []int
	for i, c := range p.clients {
		if c != nil {
			open = append(open, i)
		}
	}
	who := open[p.r.IntN(len(open))]
	s := Step{S: who, Path: p.known()}
	switch x := p.r.IntN(100); {
	case x < 45:
		s = p.change(false)
		s.S = who
	case x < 55:
		s = Step{S: who, Op: "multi"}
		for range p.r.IntN(6) {
			s.Ops = append(s.Ops, p.change(true))
		}
	case x < 65:
		s.Op = "get"
	case x < 72:
		s.Op = "children2"
	case x < 80 && !p.acls: // 3.8.0 does not ask for READ
		s.Op = "exists"
	case x < 83:
		s.Op = "getACL"
	case x < 85:
		s.Op, s.Path = "ephemerals", p.base
	case x < 86:
		s.Op = "count"
	case x < 92:
		// One kind of lasting watch on each path, and none-shot ones in other sessions.
		if slices.Contains(open, 2) {
			s.S, s.Op, s.Type = 2, "addWatch", []string{"persistent", "recursive"}[len(s.Path)/2%2]
			if p.r.IntN(3) == 0 {
				s.Op, s.Type = "removeWatches", "any"
			}
			return s
		}
		s.Op = "get"
	case x < 94:
		s.Op, s.Type = "removeWatches", []string{"data", "children", "any"}[p.r.IntN(3)]
		if who == 2 {
			s.Type = "any"
		}
	case x < 96:
		user := s.S % 2
		if p.several {
			user = p.r.IntN(2)
		}
		s.Path, s.Op, s.Scheme, s.Auth = "", "addAuth", "digest", *encoded(fmt.Appendf(nil, "u%d:pass", user))
	case x < 97 && len(open) > 1 && p.r.IntN(3) == 0:
		return Step{S: who, Op: "close"}
	case x < 98 && p.opened < len(p.clients):
		return Step{S: p.opened, Op: "open"}
	default:
		s.Op = "get"
	}
	s.Watch = s.S != 2 && p.r.IntN(2) == 0 && slices.Contains([]string{"get", "exists", "children2"}, s.Op)
	return s
}
