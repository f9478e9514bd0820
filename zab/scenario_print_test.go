package zab

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
)

func record(r Record) string {
	what := ""
	switch r.Kind {
	case RecordEntry:
		what = "entry " + entry(r.Entry)
	case RecordTrunc:
		what = fmt.Sprintf("TRUNC to %v", r.Zxid)
	case RecordReset:
		what = fmt.Sprintf("RESET to the snapshot %v", r.Zxid)
	case RecordMark:
		what = "mark: " + describeMark(r.Mark)
	}
	return fmt.Sprintf("#%d %s", r.ID, what)
}

func describeMark(k Mark) string {
	s := fmt.Sprintf("promised %d joined %d", k.Promised, k.Joined)
	if !k.Counts {
		s += " blank"
	}
	return s
}

func entry(e Entry) string {
	if e.Kind == EntryReadmit {
		return fmt.Sprintf("%v=readmit:%d:%d", e.Zxid, e.Member, e.Incarnation[0])
	}
	if len(e.Data) > 50 {
		return fmt.Sprintf("%v=%d*", e.Zxid, len(e.Data))
	}
	return fmt.Sprintf("%v=%s", e.Zxid, e.Data)
}

func entries(list []Entry) string {
	var words []string
	for _, e := range list {
		words = append(words, entry(e))
	}
	return strings.Join(words, " ")
}

func spans(list []Span) string {
	var words []string
	for _, x := range list {
		words = append(words, MakeZxid(x.Epoch, x.Last).String())
	}
	return cmp.Or(strings.Join(words, ","), "nothing")
}

// describe tells a message in a line. Its session comes first.
func describe(msg Message) string {
	word := func(b bool, yes, no string) string {
		if b {
			return " " + yes
		}
		return no
	}
	name := reflect.TypeOf(msg).Elem().Name()
	var s string
	session := Session(0)
	switch x := msg.(type) {
	case *FollowerInfo:
		session = x.Session
		s = fmt.Sprintf("promised %d%s", x.Promised, word(!x.Counts, "blank", ""))
	case *LeaderInfo:
		session, s = x.Session, fmt.Sprintf("epoch %d", x.Epoch)
	case *AckEpoch:
		session = x.Session
		s = fmt.Sprintf("epoch %d%s joined %d last %v spans %s%s", x.Epoch, word(x.Promise, "promised", ", no promise,"), x.Joined, x.Last, spans(x.Spans), word(!x.Counts, "blank", ""))
	case *Refuse:
		session, s = x.Session, fmt.Sprintf("promised %d", x.Promised)
	case *Sync:
		session = x.Session
		if x.Snapshot {
			s = fmt.Sprintf("epoch %d snapshot %v spans %s common %v id %d", x.Epoch, x.Zxid, spans(x.Spans), x.Common, binary.BigEndian.Uint64(x.ID[:]))
		} else {
			s = fmt.Sprintf("epoch %d keep %v", x.Epoch, x.Keep)
		}
	case *Fetch:
		session, s = x.Session, fmt.Sprintf("chunks %d to %d", x.At.Chunk, x.Upto-1)
	case *Chunk:
		session, s = x.Session, fmt.Sprintf("%d %q%s", x.Index, x.Data, word(x.Last, "last", ""))
	case *Installed:
		session = x.Session
	case *Propose:
		session, s = x.Session, fmt.Sprintf("epoch %d %s commit %v", x.Epoch, entries(x.Entries), x.Commit)
	case *NewLeader:
		session, s = x.Session, fmt.Sprintf("epoch %d last %v", x.Epoch, x.Last)
		if x.Snapshot != 0 {
			s += fmt.Sprintf(" snapshot %v", x.Snapshot)
		}
	case *Ack:
		session, s = x.Session, fmt.Sprintf("epoch %d %v%s%s", x.Epoch, x.Zxid, word(x.Joined, "joined", ""), word(!x.Counts, "blank", ""))
	case *UpToDate:
		session, s = x.Session, fmt.Sprintf("epoch %d commit %v", x.Epoch, x.Commit)
	case *Commit:
		session, s = x.Session, fmt.Sprintf("epoch %d commit %v", x.Epoch, x.Commit)
	case *Ping:
		session, s = x.Session, fmt.Sprintf("epoch %d round %d", x.Epoch, x.Round)
	case *Pong:
		session, s = x.Session, fmt.Sprintf("epoch %d round %d%s", x.Epoch, x.Round, word(x.Confirms, "confirms", ""))
	case *Handover:
		session, s = x.Session, fmt.Sprintf("epoch %d to %d", x.Epoch, x.To)
	}
	return strings.TrimSpace(fmt.Sprintf("%s s%d %s", name, session, s))
}

// String tells what a member is.
func (a *actor) String() string {
	m := a.m
	s := fmt.Sprintf("%d %v", a.id, m.Role())
	if m.Leader() != 0 && m.Leader() != a.id {
		s += fmt.Sprintf(" %d", m.Leader())
	}
	if m.Epoch() != 0 {
		s += fmt.Sprintf(" epoch %d", m.Epoch())
	}
	switch {
	case m.Serving():
		s += " serving"
	case m.Established():
		s += " established"
	}
	s += fmt.Sprintf(": %s, last %v durable %v committed %v applied %v", describeMark(m.Durable()), m.Last(), m.LastDurable(), m.Committed(), m.Applied())
	if m.Role() == Leading && m.Confirmed() > 0 {
		s += fmt.Sprintf(", confirmed round %d", m.Confirmed())
	}
	return s
}
