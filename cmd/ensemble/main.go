// Ensemble is a program for those who operate members of an ensemble. It looks at what a member keeps on disk, makes a backup of it, and begins
// directories from a backup.
//
//	go run ./cmd/ensemble inspect [-json] [-records] [-verify] [-progress] DIR
//	go run ./cmd/ensemble backup DIR > FILE
//	go run ./cmd/ensemble restore -members 1,2,3 [-observers 4,5] [-name NAME] [-epoch N] DIR < FILE
//
// "ensemble help backup" explains the last two. The first changes nothing:
//
// DIR is the directory of one member. The answer is who it belongs to, what the mark says, which segments the log has, which snapshots
// there are and which of them a start would use, and a verdict with what to do next. With -records every record is listed, without its data; with -json each line is a JSON object, whose fields
// "ensemble help inspect" explains. With -verify every file is read to its end and the exit status tells whether damage was found:
//
//	0  the directory could be read; with -verify: and it is not damaged
//	1  with -verify: it is damaged
//	2  a mistake in the arguments, or the directory cannot be read
//
// The member may run meanwhile: no lock is taken, and what is shown is one moment of it.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ensemble-go/ensemble/internal/vfs"
)

// Exit statuses.
const (
	exitOK = iota
	exitDamaged
	exitFailed
)

func main() {
	p := program{in: os.Stdin, out: os.Stdout, err: os.Stderr, fs: vfs.OS(), use: lookUse, now: time.Now, pause: time.Sleep, terminal: isTerminal(os.Stderr)}
	os.Exit(p.run(os.Args[1:]))
}

// program is what a run needs of the world.
type program struct {
	in       io.Reader
	out, err io.Writer
	fs       vfs.FS
	use      func(lock string) usage
	now      func() time.Time
	pause    func(time.Duration)
	terminal bool // err is one
}

func (p *program) run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(p.err, usageText)
		return exitFailed
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "inspect":
		return p.inspect(rest)
	case "backup":
		return p.backup(rest)
	case "restore":
		return p.restore(rest)
	case "help", "-h", "-help", "--help":
		text := usageText
		if len(rest) > 0 {
			switch rest[0] {
			case "inspect":
				text = inspectText
			case "backup", "restore":
				text = backupText
			}
		}
		fmt.Fprint(p.out, text)
		return exitOK
	default:
		return p.fail("no verb %q; there are: inspect, backup, restore", verb)
	}
}

func (p *program) fail(format string, args ...any) int {
	fmt.Fprintf(p.err, "ensemble: "+format+"\n", args...)
	return exitFailed
}

// isTerminal takes every device of characters for one: at worst the progress is written to where nobody reads it.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
