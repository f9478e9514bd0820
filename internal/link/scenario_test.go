package link

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble/quorum"
)

var update = flag.Bool("update", false, "write what happens into the scenarios")

// TestScenarios plays the stories in testdata/scenarios: lines that begin with ">" are commands, what follows is what
// happens. The members are a and b, their nonces a1, a2, ... and b1, b2, ...
//
//	open X | reset X | tick X [n] | restart X [ensemble [name]] | ensemble X id | send X class text
//	deliver [n]      the frames in flight, in order, and what they cause; or only the first n
//	drop [n]         the frames in flight; or only the first n
//	last             moves the last frame in flight to the front
//	replay n         delivers frame number n once more
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(raw))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := strings.Split(string(raw), "\n")
			for i, line := range strings.Split(got, "\n") {
				if i >= len(want) || want[i] != line {
					t.Fatalf("%s:%d: %q is what happens\n%s", name, i+1, line, got)
				}
			}
			if len(got) != len(raw) {
				t.Fatalf("%s: more is expected", name)
			}
		})
	}
}

type stage struct {
	t      *testing.T
	b      strings.Builder
	links  map[string]*Link
	drawn  map[string]int
	flight []letter
	record []letter
}

type letter struct {
	nth   int
	from  string
	class Class
	bytes []byte
}

func play(t *testing.T, script string) string {
	s := &stage{t: t, links: make(map[string]*Link), drawn: make(map[string]int)}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			fmt.Fprintln(&s.b, line)
			s.command(strings.Fields(line[1:]))
		case strings.HasPrefix(line, "#"), line == "":
			fmt.Fprintln(&s.b, line)
		}
	}
	return s.b.String()
}

func other(who string) string {
	if who == "a" {
		return "b"
	}
	return "a"
}

func (s *stage) link(who string) *Link {
	if s.links[who] == nil {
		s.restart(who, "", "ens")
	}
	return s.links[who]
}

func (s *stage) restart(who, ensemble, name string) {
	cfg := Config{Self: 1, Name: name, StallTicks: 4, MaxMessage: 1 << 20}
	copy(cfg.Ensemble[:], ensemble)
	peer := quorum.ID(2)
	if who == "b" {
		cfg.Self, peer = 2, 1
	}
	cfg.Nonce = func() (n Nonce) {
		s.drawn[who]++
		copy(n[:8], fmt.Sprintf("%s%d\x00\x00\x00\x00\x00\x00", who, s.drawn[who]))
		n[15] = 1 // the first 8 bytes are not all there is
		return n
	}
	s.links[who] = New(cfg, peer)
}

func (s *stage) command(f []string) {
	n := 1
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	number := func(i, otherwise int) {
		n = otherwise
		if arg(i) != "" {
			n, _ = strconv.Atoi(arg(i))
		}
	}
	var o Output
	who := arg(1)
	switch f[0] {
	case "open":
		s.link(who).Open(&o)
	case "reset":
		s.link(who).Reset(&o)
	case "tick":
		for number(2, 1); n > 0; n-- {
			s.link(who).Tick(&o)
		}
	case "restart":
		name := "ens"
		if arg(3) != "" {
			name = arg(3)
		}
		s.restart(who, arg(2), name)
	case "ensemble":
		var id [16]byte
		copy(id[:], arg(2))
		s.link(who).SetEnsemble(id, &o)
	case "send":
		class := map[string]Class{"control": Control, "log": Log, "bulk": Bulk}[arg(2)]
		if err := s.link(who).Send(class, []byte(arg(3)), &o); err != nil {
			fmt.Fprintln(&s.b, "    ", err)
		}
	case "deliver":
		for number(1, 1000); n > 0 && len(s.flight) > 0; n-- {
			l := s.flight[0]
			s.flight = s.flight[1:]
			s.deliver(l)
		}
		return
	case "drop":
		number(1, len(s.flight))
		s.flight = s.flight[n:]
		return
	case "last":
		k := len(s.flight) - 1
		s.flight = append([]letter{s.flight[k]}, s.flight[:k]...)
		return
	case "replay":
		number(1, 0)
		s.deliver(s.record[n-1])
		return
	default:
		s.t.Fatalf("unknown command %q", f)
	}
	s.show(who, &o)
}

func (s *stage) deliver(l letter) {
	fmt.Fprintf(&s.b, "  %s takes %d\n", other(l.from), l.nth)
	var o Output
	s.link(other(l.from)).Receive(l.class, l.bytes, &o)
	s.show(other(l.from), &o)
}

func (s *stage) show(who string, o *Output) {
	if o.Reset {
		fmt.Fprintf(&s.b, "    %s RESET\n", who)
	}
	if o.Up {
		l := s.link(who)
		fmt.Fprintf(&s.b, "    %s UP %s %s\n", who, call(l.ours[:]), call(l.theirs[:]))
	}
	for _, m := range o.Messages {
		fmt.Fprintf(&s.b, "    %s gets %s %q\n", who, []string{"control", "log", "bulk"}[m.Class], m.Bytes)
	}
	if o.Err != nil {
		fmt.Fprintf(&s.b, "    %s: %v\n", who, o.Err)
	}
	for _, f := range o.Frames {
		l := letter{len(s.record) + 1, who, f.Class, append([]byte(nil), f.Bytes...)}
		s.record = append(s.record, l)
		s.flight = append(s.flight, l)
		fmt.Fprintf(&s.b, "    %d: %s -> %s %s\n", l.nth, who, other(who), describe(l.bytes))
	}
}

func call(nonce []byte) string {
	if nonce[0] == 0 {
		return "-"
	}
	return string(nonce[:2])
}

func describe(b []byte) string {
	if b[0]&dataFrame != 0 {
		d, _ := parseData(b)
		return fmt.Sprintf("%s(%s, %s) #%d %q", []string{"control", "log", "bulk"}[d.class], call(b[1:]), call(b[9:]), d.seq, d.body)
	}
	h, _ := parseHandshake(b)
	return fmt.Sprintf("%s(%s, %s)", []string{"", "hello", "answer", "confirm", "ready", "unknown", "refuse"}[h.kind], call(h.mine[:]), call(h.yours[:]))
}
