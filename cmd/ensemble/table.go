package main

import (
	"strings"
	"unicode/utf8"
)

// table aligns rows under a heading. Columns whose heading begins with > are aligned to the right.
type table struct {
	rows [][]string // the first is the heading
}

func newTable(heading ...string) *table { return &table{[][]string{heading}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// text indents each line by two, leaves out columns that say nothing, and has no space at the end of a line.
func (t *table) text() string {
	head := t.rows[0]
	width, right, empty := make([]int, len(head)), make([]bool, len(head)), make([]bool, len(head))
	for c, name := range head {
		_, right[c] = strings.CutPrefix(name, ">")
		head[c] = strings.TrimPrefix(name, ">")
		empty[c] = true
		for i, row := range t.rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
			empty[c] = empty[c] && (i == 0 || row[c] == "")
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := ""
		for c, cell := range row {
			if empty[c] {
				continue
			}
			pad := strings.Repeat(" ", width[c]-utf8.RuneCountInString(cell))
			if right[c] {
				line += "  " + pad + cell
			} else {
				line += "  " + cell + pad
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
