package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(100, 0)
	m := &meter{w: &out, now: func() time.Time { return now }}
	m.begin("judged", map[string]int64{"a": 3e6, "b": 1e6})
	for i := range int64(10) {
		now = now.Add(300 * time.Millisecond)
		m.at("a", i*3e5)
	}
	now = now.Add(time.Second)
	m.at("b", 5e5)
	m.at("b", 6e5)
	m.begin("read", map[string]int64{"a": 2e9, "b": 500})
	now = now.Add(time.Second)
	m.at("b", 100)
	m.done()
	want := `ensemble: judged 0.9 MB of 4.0 MB, 22 %, a
ensemble: judged 2.1 MB of 4.0 MB, 52 %, a
ensemble: judged 3.5 MB of 4.0 MB, 87 %, b
ensemble: read 100 bytes of 2.0 GB, 0 %, b
ensemble: read all of 2.0 GB
`
	want = strings.Replace(want, "0.9 MB", "900000 bytes", 1)
	if out.String() != want {
		t.Errorf("%s, want\n%s", &out, want)
	}
}

// Progress goes to standard error, on request or where somebody looks, and never when the work is short.
func TestProgress(t *testing.T) {
	enter(t)
	slow := func(p *program) {
		now := time.Unix(0, 0)
		p.now = func() time.Time { now = now.Add(time.Second); return now }
	}
	for _, c := range []struct {
		args   string
		change func(*program)
		shown  bool
	}{
		{"inspect -verify d", slow, false},
		{"inspect -progress d", nil, false},
		{"inspect -progress -verify d", slow, true},
		{"inspect -records d", func(p *program) { slow(p); p.terminal = true }, true},
	} {
		r := run(t, c.change, strings.Fields(c.args)...)
		if r.status != exitOK || (r.err != "") != c.shown || strings.Contains(r.out, " %") {
			t.Errorf("%s: %+v", c.args, r)
		}
	}
}
