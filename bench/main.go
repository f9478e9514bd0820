package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const ours = "ensemble"

// systems are all that can be compared.
var systems = []system{
	{ours, openEnsemble},
	raftSystem("raft", nil),
	raftSystem("raft-tuned", tuned),
}

type options struct {
	setting  setting
	systems  []system
	callers  []int
	rounds   int
	duration time.Duration
	profile  string
	allocs   string
	verbose  bool
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	quick := fs.Bool("quick", false, "3 rounds of 1 s instead of 7 of 2 s: less than a minute")
	in := fs.String("config", "memory", "where members talk and what they write stays: memory, tcp, disk or tcp+disk")
	fs.IntVar(&o.rounds, "rounds", 0, "how often each measurement is repeated; the median is printed")
	fs.DurationVar(&o.duration, "duration", 0, "of one measurement, after a warm-up of a fifth of it")
	only := fs.String("only", "", "the systems to run, separated by commas, of "+strings.Join(names(systems), ", ")+"; all by default")
	callers := fs.String("callers", "1,64,512", "the numbers of callers")
	fs.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the whole run to this file; best with one system and one number of callers")
	fs.StringVar(&o.allocs, "memprofile", "", "write a profile of all allocations of the run to this file")
	fs.BoolVar(&o.verbose, "v", false, "print every measurement as it is made")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.setting, err = parseSetting(*in); err != nil {
		return o, err
	}
	rounds, duration := 7, 2*time.Second
	if *quick {
		rounds, duration = 3, time.Second
	}
	o.rounds, o.duration = cmp.Or(o.rounds, rounds), cmp.Or(o.duration, duration)
	if o.rounds < 1 || o.duration < time.Millisecond {
		return o, fmt.Errorf("%d rounds of %v are too little", o.rounds, o.duration)
	}
	o.systems = systems
	if *only != "" {
		o.systems = nil
		for name := range strings.SplitSeq(*only, ",") {
			i := slices.Index(names(systems), name)
			if i < 0 {
				return o, fmt.Errorf("no system is called %q; there are %s", name, strings.Join(names(systems), ", "))
			}
			o.systems = append(o.systems, systems[i])
		}
	}
	for s := range strings.SplitSeq(*callers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 4096 {
			return o, fmt.Errorf("%q is not a number of callers from 1 to 4096", s)
		}
		o.callers = append(o.callers, n)
	}
	return o, nil
}

func names(all []system) (n []string) {
	for _, s := range all {
		n = append(n, s.name)
	}
	return n
}

func run(args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err == flag.ErrHelp {
		return nil
	}
	if err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}

	fmt.Fprintf(stdout, "%s %s/%s, GOMAXPROCS %d, hashicorp/raft %s; %d members %v; %d-byte values, %d keys; medians of %d rounds of %v\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), raftVersion(), members, o.setting, valueSize, numKeys, o.rounds, o.duration)
	var used usage
	results := map[cell][]sample{}
	for round := range o.rounds {
		for _, callers := range o.callers {
			for i := range o.systems {
				s := o.systems[(i+round)%len(o.systems)]
				m, err := measure(s, o.setting, callers, o.duration/5, o.duration)
				for again := 0; err != nil && again < 2; again++ { // on a starved machine a leader may lose its place
					fmt.Fprintf(stderr, "round %d: %v; once more\n", round+1, err)
					m, err = measure(s, o.setting, callers, o.duration/5, o.duration)
				}
				if err != nil {
					return err
				}
				used = used.plus(m.used)
				if o.verbose {
					fmt.Fprintf(stderr, "round %d  %-10s  %3d callers  %7.0f writes/s\n", round+1, s.name, callers, m.rate)
				}
				results[cell{s.name, callers}] = append(results[cell{s.name, callers}], m)
			}
		}
	}
	if err := table(stdout, o, results); err != nil {
		return err
	}
	if o.allocs != "" {
		f, err := os.Create(o.allocs)
		if err != nil {
			return err
		}
		if err := errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close()); err != nil {
			return err
		}
	}
	if share, ok := used.others(); ok {
		fmt.Fprintf(stdout, "\nOther programs had %.0f %% of the processors meanwhile.\n", share*100)
	}
	return nil
}

// cell is a row of the table.
type cell struct {
	system  string
	callers int
}

// table prints the medians. The ratio is that of the medians, to the raft that is the better one at this number of callers.
func table(w io.Writer, o options, results map[cell][]sample) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tcallers\twrites/s\tp50\tp99\tallocs/write\tCPU s/100k\tx best raft\t")
	for _, callers := range o.callers {
		best := 0.0
		for _, s := range o.systems {
			if s.name != ours {
				best = max(best, median(results[cell{s.name, callers}], rate))
			}
		}
		for _, s := range o.systems {
			r := results[cell{s.name, callers}]
			ratio := ""
			if s.name == ours && best > 0 {
				ratio = fmt.Sprintf("%.2f", median(r, rate)/best)
			}
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%.1f\t%.2f\t%s\t\n", s.name, callers, median(r, rate),
				short(median(r, func(s sample) time.Duration { return s.p50 })), short(median(r, func(s sample) time.Duration { return s.p99 })),
				median(r, func(s sample) float64 { return s.allocs }), median(r, func(s sample) float64 { return s.cpu }), ratio)
		}
	}
	return t.Flush()
}

func rate(s sample) float64 { return s.rate }

func median[T float64 | time.Duration](all []sample, of func(sample) T) T {
	var v []T
	for _, s := range all {
		v = append(v, of(s))
	}
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// short prints d with three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g us", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

func raftVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/hashicorp/raft" {
				return m.Version
			}
		}
	}
	return "of unknown version"
}
