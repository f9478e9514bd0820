package main

import (
	"os"
	"strings"
	"testing"
)

// The test's own program is the other process.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "register" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestWatch(t *testing.T) {
	summary, err := watch(t.Context(), os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(summary, "vanished") {
		t.Error(summary)
	}
	t.Log(summary)
}
