package wal

import "fmt"

// Kind is what a directory was found to be.
type Kind uint8

// The kinds of verdicts.
const (
	Clean    Kind = iota // whole
	TornTail             // the last batch was being written when the power failed; what is left of it was kept up to the damage
	Impaired             // damaged, or something is missing: not opened, and left as it is
)

// String returns the kind as a word.
func (k Kind) String() string {
	switch k {
	case Clean:
		return "clean"
	case TornTail:
		return "torn tail"
	}
	return "impaired"
}

// Verdict is the judgement on a directory.
type Verdict struct {
	Kind    Kind
	Unclean bool // it was not stopped by Close
	// Where and Why tell what is wrong: a file with an offset, or the directory.
	Where, Why string
	// Bytes and Records are what a TornTail lost: bytes that are not zero, and such records in them as could be recognised.
	Bytes   int64
	Records int
}

// String returns the verdict as one line.
func (v Verdict) String() string {
	s := v.Kind.String()
	if v.Unclean {
		s += ", not stopped properly"
	}
	switch v.Kind {
	case TornTail:
		s += fmt.Sprintf(": %s: %s; %d bytes and %d records cut", v.Where, v.Why, v.Bytes, v.Records)
	case Impaired:
		s += fmt.Sprintf(": %s: %s", v.Where, v.Why)
	}
	return s
}
