package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ensemble-go/ensemble"
)

// TestMain makes the test's own binary the example, for the processes that it starts.
func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER_EXAMPLE") != "" {
		main()
		return
	}
	m.Run()
}

// Three processes, killed one after the other, lose nothing.
func TestKills(t *testing.T) {
	t.Setenv("CLUSTER_EXAMPLE", "1")
	kills := 4
	if testing.Short() {
		kills = 1
	}
	summary, err := demonstrate(t.Context(), t.TempDir(), kills)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(summary)
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-id", "1"}, {"-id", "4", "-peers", "a:1,b:1,c:1", "-dir", "x"}, {"-id", "1", "-peers", "a:1", "-dir", "x"}, {"what"}, {"-nothing"}} {
		if summary, err := run(t.Context(), args); err == nil {
			t.Errorf("%q: %s", args, summary)
		}
	}
}

// Whoever makes the certificates first wins, and nobody overwrites them.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	first, err := certificates(dir, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeCertificates(dir+"/certificates", 3); err != nil {
		t.Fatal(err)
	}
	again, err := certificates(dir, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Certificates[0].Leaf.Equal(first.Certificates[0].Leaf) {
		t.Error("the certificates were overwritten")
	}
	if uri := again.Certificates[0].Leaf.URIs[0].String(); uri != "ensemble:1" {
		t.Errorf("the certificate names %s", uri)
	}
	if _, err := certificates(dir, 4, 3); err == nil {
		t.Error("a certificate for a fourth member")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestHTTP(t *testing.T) {
	n, err := ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := handler(n)
	for _, c := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/v1/tree/a", "", 404, "no such znode"},
		{"PUT", "/v1/tree/a", "one", 204, ""},
		{"PUT", "/v1/tree/a", "two", 204, ""},
		{"GET", "/v1/tree/a", "", 200, "two"},
		{"GET", "/v1/tree/a?sync", "", 200, "two"},
		{"PUT", "/v1/tree/a/b", "three", 204, ""},
		{"PUT", "/v1/tree/c/d", "no parent", 404, ""},
		{"GET", "/v1/tree/a?children", "", 200, `["b"]`},
		{"GET", "/v1/tree/?children", "", 200, `"a"`},
		{"DELETE", "/v1/tree/a", "", 409, ""},
		{"DELETE", "/v1/tree/a/b", "", 204, ""},
		{"DELETE", "/v1/tree/a/b", "", 404, ""},
		{"PUT", "/v1/tree/a/", "", 400, ""},
		{"PUT", "/v1/tree/a", strings.Repeat("x", 1<<20+1), 413, ""},
		{"POST", "/v1/tree/a", "", 405, ""},
		{"GET", "/v1/status", "", 200, `"role":"leading"`},
		{"GET", "/v2", "", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, w.Code, w.Body, c.code, c.want)
		}
	}
	n.Close()
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/v1/tree/a", nil)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d %s", w.Code, w.Body)
	}
}

// The lines of a watch come as things happen, and again from where somebody has heard enough.
func TestWatchHTTP(t *testing.T) {
	n, err := ensemble.Open(t.Context(), ensemble.Config{ID: 1, Members: []ensemble.Member{{ID: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	server := httptest.NewServer(handler(n))
	defer server.Close()
	watch := func(query string) (*http.Response, *bufio.Scanner) {
		r, err := http.Get(server.URL + "/v1/watch/" + query)
		if err != nil {
			t.Fatal(err)
		}
		return r, bufio.NewScanner(r.Body)
	}
	r, lines := watch("a?tree")
	defer r.Body.Close()
	for _, path := range []string{"/a", "/a/b"} {
		z, err := n.Do(t.Context(), ensemble.CreateOp{Path: path, Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"data":"eA==","path":"` + path + `","type":"Created","zxid":"` + z.Zxid.String() + `"}`
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("%s, want %s", lines.Text(), want)
		}
	}
	again, lines := watch("a?children&after=" + r.Header.Get("Ensemble-Zxid"))
	defer again.Body.Close()
	if !lines.Scan() || !strings.Contains(lines.Text(), `"path":"/a/b","type":"Created"`) {
		t.Error(lines.Text())
	}
	for query, code := range map[string]int{"a/": 400, "a?after=x": 400} {
		r, _ := watch(query)
		if r.Body.Close(); r.StatusCode != code {
			t.Errorf("%s: %d", query, r.StatusCode)
		}
	}
	n.Close()
	if !lines.Scan() || !strings.Contains(lines.Text(), `{"error":`) || lines.Scan() {
		t.Error(lines.Text())
	}
}
