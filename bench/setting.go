package main

import (
	"fmt"
	"os"
	"strings"
)

// setting says over what members talk, and where they keep what they write.
type setting struct {
	tcp  bool // loopback, plain text; in memory otherwise
	disk bool // synced before it is acknowledged; in memory otherwise
}

var settings = map[string]setting{"memory": {}, "tcp": {tcp: true}, "disk": {disk: true}, "tcp+disk": {tcp: true, disk: true}}

func parseSetting(s string) (setting, error) {
	c, ok := settings[s]
	if !ok {
		return c, fmt.Errorf("no config is called %q; there are memory, tcp, disk and tcp+disk", s)
	}
	return c, nil
}

func (s setting) String() string {
	var all []string
	if s.tcp {
		all = append(all, "over TCP on loopback")
	}
	if s.disk {
		all = append(all, "with a directory each below "+os.TempDir()+", synced")
	}
	if all == nil {
		return "in memory"
	}
	return strings.Join(all, ", ")
}

// directory returns a new directory for a cluster that needs one.
func (s setting) directory() (string, error) {
	if !s.disk {
		return "", nil
	}
	return os.MkdirTemp("", "bench-")
}
