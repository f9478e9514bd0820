package main

import (
	"fmt"
	"strconv"
	"strings"
)

// countTag is the tag of a write that makes a counter n, and countOf its n.
func countTag(tag string, n int) string { return fmt.Sprintf("%s=%d", tag, n) }

func countOf(tag string) int {
	_, n, _ := strings.Cut(tag, "=")
	v, err := strconv.Atoi(n)
	if err != nil {
		return -1
	}
	return v
}

func isCounter(path string) bool { return strings.HasPrefix(path, "/c/") }

// increments judges the counters: each step is by one, and the value that members show at the end is the number of increments that were acknowledged and of those of unknown outcome that the log has, by
// session and number. It returns how many of both there were.
func (o *oracle) increments(ops []*op, final map[string][]int) (acked, found int) {
	for path, history := range o.values {
		if !isCounter(path) {
			continue
		}
		n := 0
		for _, v := range history {
			if !v.Exists || countOf(v.Tag) != n+1 {
				o.fault("%v: the counter %s is %d, and becomes %+v", v.Zxid, path, n, v)
			}
			n = countOf(v.Tag)
		}
	}
	sums := map[string]int{}
	for _, p := range ops {
		if p.read() || !isCounter(p.Parts[0].Path) {
			continue
		}
		switch _, happened := o.fate[p]; {
		case p.Outcome == done:
			acked++
			sums[p.Parts[0].Path]++
		case happened:
			found++
			sums[p.Parts[0].Path]++
		}
	}
	for path, values := range final {
		for _, v := range values {
			if v != sums[path] {
				o.fault("the counter %s is %d in the end, after %d increments", path, v, sums[path])
			}
		}
		delete(sums, path)
	}
	for path, n := range sums {
		if n > 0 {
			o.fault("the counter %s was not read in the end, after %d increments", path, n)
		}
	}
	return acked, found
}
