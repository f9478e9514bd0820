package main

import (
	"bufio"
	"encoding/json"
	"io"
)

// jsonSheet writes one object a line.
type jsonSheet struct {
	w   *bufio.Writer
	e   *json.Encoder
	err error // the first
}

func newJSONSheet(w io.Writer) *jsonSheet {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return &jsonSheet{w: b, e: e}
}

func (s *jsonSheet) put(row any) {
	if s.err == nil {
		s.err = s.e.Encode(row)
	}
}

func putAll[T any](s *jsonSheet, rows []T) {
	for i := range rows {
		s.put(&rows[i])
	}
}

func (s *jsonSheet) directory(r directoryRow)           { s.put(r) }
func (s *jsonSheet) marks(rows []markRow)               { putAll(s, rows) }
func (s *jsonSheet) segments(rows []segmentRow)         { putAll(s, rows) }
func (s *jsonSheet) epochs(rows []epochRow, _ bool)     { putAll(s, rows) }
func (s *jsonSheet) snapshots(rows []snapshotRow)       { putAll(s, rows) }
func (s *jsonSheet) evidence(rows []evidenceRow)        { putAll(s, rows) }
func (s *jsonSheet) records(_ string, rows []recordRow) { putAll(s, rows) }
func (s *jsonSheet) verify(r verifyRow)                 { s.put(r) }
func (s *jsonSheet) verdict(r verdictRow)               { s.put(r) }

func (s *jsonSheet) files(leftover []fileRow, others []otherRow) {
	putAll(s, leftover)
	putAll(s, others)
}

func (s *jsonSheet) flush() error {
	if s.err == nil {
		s.err = s.w.Flush()
	}
	return s.err
}
