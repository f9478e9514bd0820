package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test's own binary the example, for those who kill it.
func TestMain(m *testing.M) {
	if os.Getenv("DURABLE_EXAMPLE") != "" {
		main()
		return
	}
	m.Run()
}

// The process is killed while it writes. Everything it printed is there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	kills := 4
	if testing.Short() {
		kills = 1
	}
	printed := 0
	for k := range kills {
		c := exec.CommandContext(t.Context(), os.Args[0], dir)
		c.Env = append(os.Environ(), "DURABLE_EXAMPLE=1")
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.HasPrefix(s.Text(), "FAILED") {
				t.Fatal(s.Text())
			}
			if !strings.HasPrefix(s.Text(), "acknowledged") {
				continue
			}
			if lines++; lines == 20+7*k {
				c.Process.Kill()
			}
		}
		c.Wait() // it was killed
		printed += lines
	}
	summary, err := run(t.Context(), dir, 0)
	if err != nil || printed < 20 {
		t.Fatal(printed, err)
	}
	t.Log(summary)
}

func TestRuns(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		summary, err := run(t.Context(), dir, 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(summary)
	}
	// A line that was cut short does not count; one whose znode is not there is told.
	f, err := os.OpenFile(filepath.Join(dir, "acknowledged"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("/run-0000000000/nev"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("/run-0000000000/never data\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t.Context(), dir, 0); err == nil {
		t.Fatal("what is not there was not missed")
	}
}
