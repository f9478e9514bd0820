package crashtest

import "testing"

// A test that breaks down, or fails by something else, has not found the mistake.
func TestFound(t *testing.T) {
	const failed = "    --- FAIL: TestX/a (0.00s)\n"
	for _, c := range []struct {
		what, out, says string
		ok              bool
	}{
		{"the assertion", "x_test.go:1: it was lost\n" + failed, "it was .*st", true},
		{"another assertion", "x_test.go:2: a spent context\n" + failed, "it was lost", false},
		{"a part of a line only", "x_test.go:1: it was\nlost\n" + failed, "it was .*lost", false},
		{"another subtest", "x_test.go:1: it was lost\n    --- FAIL: TestX/ab (0.00s)\n", "it was lost", false},
		{"it passed", "x_test.go:1: it was lost\n    --- PASS: TestX/a (0.00s)\n", "it was lost", false},
		{"a panic too", "x_test.go:1: it was lost\n" + failed + "panic: nil\n", "it was lost", false},
		{"a deadlock", failed + "panic: deadlock: main bubble goroutine has exited\n", "main bubble", false},
		{"a crash", failed + "fatal error: concurrent map writes\n", "concurrent", false},
		{"a panic that is meant", failed + "panic: index\n", "panic: index", true},
		{"nothing is asked for", failed, "", false},
		{"no expression", failed, "(", false},
	} {
		if said, err := found(c.out, "TestX/a", c.says); (err == nil) != c.ok || c.ok && said == "" {
			t.Errorf("%s: %q, %v", c.what, said, err)
		}
	}
}
