package main

import (
	"testing"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport"
)

func fresh(t *testing.T) *cluster {
	c := &cluster{net: transport.NewMemory(), nodes: map[ensemble.ID]*ensemble.Node{}}
	t.Cleanup(c.close)
	return c
}

func TestShow(t *testing.T) {
	summary, err := fresh(t).show(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Log(summary)
}

func TestReplay(t *testing.T) {
	summary, err := fresh(t).replay(t.Context(), "../../datatree/testdata/golden/basic-2001.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(summary)
	if _, err := fresh(t).replay(t.Context(), "main.go"); err == nil {
		t.Fatal("took a file that is no trace")
	}
}
