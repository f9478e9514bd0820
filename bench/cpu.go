package main

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// usage adds up what the processors of the machine did during the measurements.
type usage struct {
	own, busy, total float64 // seconds; total includes idle time
}

// others is the share of the processors that other programs had, if that can be told.
func (u usage) others() (share float64, ok bool) {
	if u.total == 0 {
		return 0, false
	}
	return max(u.busy-u.own, 0) / u.total, true
}

// meter returns the usage so far. Where there is no /proc/stat only own is known.
func meter() usage {
	u := usage{own: cpuTime().Seconds()}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	fields := bytes.Fields(line)
	const idle, iowait, guest = 4, 5, 9 // what runs in a guest is in user time too
	for i := 1; i < min(len(fields), guest); i++ {
		ticks, err := strconv.ParseFloat(string(fields[i]), 64)
		if err != nil {
			return usage{own: u.own}
		}
		s := ticks * (10 * time.Millisecond).Seconds()
		u.total += s
		if i != idle && i != iowait {
			u.busy += s
		}
	}
	return u
}

func (u usage) minus(o usage) usage { return usage{u.own - o.own, u.busy - o.busy, u.total - o.total} }

func (u usage) plus(o usage) usage { return usage{u.own + o.own, u.busy + o.busy, u.total + o.total} }
