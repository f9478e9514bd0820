package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ensemble-go/ensemble"
)

// backup carries out the verb.
func (p *program) backup(args []string) int {
	flags := newFlags("backup")
	dir, status := p.oneDir(flags, args, backupText)
	if dir == "" {
		return status
	}
	z, err := ensemble.BackupDir(context.Background(), dir, p.out)
	if err != nil {
		return p.fail("%s", reason(err))
	}
	fmt.Fprintf(p.err, "ensemble: %s is backed up at zxid %v\n", printable(dir), z)
	return exitOK
}

// restore carries out the verb.
func (p *program) restore(args []string) int {
	var o ensemble.RestoreOptions
	flags := newFlags("restore")
	flags.StringVar(&o.Name, "name", "", "")
	flags.Func("epoch", "", func(s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		o.Epoch = uint32(n)
		return err
	})
	for name, observer := range map[string]bool{"members": false, "observers": true} {
		flags.Func(name, "", func(s string) (err error) {
			o.Members, err = members(o.Members, s, observer)
			return err
		})
	}
	dir, status := p.oneDir(flags, args, backupText)
	if dir == "" {
		return status
	}
	if err := ensemble.Restore(context.Background(), dir, p.in, o); err != nil {
		return p.fail("%s", reason(err))
	}
	fmt.Fprintf(p.err, "ensemble: %s is restored; do the same for every member before any of them starts\n", printable(dir))
	return exitOK
}

// reason is an error of the library, which says by itself whose it is.
func reason(err error) string { return strings.TrimPrefix(explain(err).Error(), "ensemble: ") }

// members appends those of a list such as 1,2,3, or, with group and weight, 1:1:1,2:1:1.
func members(to []ensemble.Member, list string, observer bool) ([]ensemble.Member, error) {
	for _, s := range strings.Split(list, ",") {
		n, fields := [3]uint64{}, strings.Split(s, ":")
		if len(fields) != 1 && len(fields) != 3 {
			return nil, fmt.Errorf("%q is neither ID nor ID:GROUP:WEIGHT", s)
		}
		for i, f := range fields {
			bits := 31
			if i == 0 {
				bits = 64
			}
			var err error
			if n[i], err = strconv.ParseUint(f, 10, bits); err != nil {
				return nil, err
			}
		}
		to = append(to, ensemble.Member{ID: ensemble.ID(n[0]), Group: int(n[1]), Weight: int(n[2]), Observer: observer})
	}
	return to, nil
}

func newFlags(verb string) *flag.FlagSet {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// oneDir parses the arguments of a verb, which end with one directory. If it returns none, that was all, with this status.
func (p *program) oneDir(flags *flag.FlagSet, args []string, help string) (dir string, status int) {
	verb := flags.Name()
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.out, help)
		return "", exitOK
	case err != nil:
		return "", p.fail("%s: %v; see: ensemble help %s", verb, err, verb)
	case flags.NArg() == 0:
		return "", p.fail("%s: which directory? See: ensemble help %s", verb, verb)
	case flags.NArg() > 1:
		return "", p.fail("%s: one directory at a time; flags come before it. See: ensemble help %s", verb, verb)
	case flags.Arg(0) == "":
		return "", p.fail("%s: the name of the directory is empty", verb)
	}
	return flags.Arg(0), exitOK
}
