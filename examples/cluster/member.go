package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
)

// member is one process of the ensemble.
type member struct {
	id    ensemble.ID
	addrs []string
	dir   string
	http  string
	child bool
}

func (m *member) run(ctx context.Context) (summary string, err error) {
	if m.dir == "" || m.id > ensemble.ID(len(m.addrs)) || len(m.addrs) < 3 {
		return "", fmt.Errorf("a member needs -dir, -peers with three addresses or more, and an -id that is one of them")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if m.child {
		go func() {
			io.Copy(io.Discard, os.Stdin) // whoever started us has gone
			cancel()
		}()
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return "", err
	}
	config, err := certificates(m.dir, m.id, len(m.addrs))
	if err != nil {
		return "", err
	}
	var members []ensemble.Member
	for i, addr := range m.addrs {
		members = append(members, ensemble.Member{ID: ensemble.ID(i + 1), Addr: addr})
	}
	l, err := listen(ctx, m.addrs[m.id-1])
	if err != nil {
		return "", err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n, err := ensemble.Open(ctx, ensemble.Config{
		ID: m.id, Members: members, Dir: filepath.Join(m.dir, fmt.Sprint(m.id)), Logger: logger,
		Transport: tcp.New(tcp.Config{Listener: l, TLS: config, Logger: logger}),
	})
	if err != nil {
		return "", err
	}
	defer n.Close()
	web, err := net.Listen("tcp", m.http)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler(n), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(web)
	defer server.Close()
	fmt.Printf("member %d: http://%s/v1/status\n", m.id, web.Addr())
	select {
	case <-n.Done():
		return "", n.Err()
	case <-ctx.Done():
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	applied := n.Status().Applied
	if err := n.Shutdown(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("member %d stopped at %v", m.id, applied), nil
}

// listen waits a while for the port: after a kill -9 somebody may have it for a moment. Most programs give [tcp.Config] an address, and need none of this.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(20 * time.Second); ; {
		l, err := net.Listen("tcp", addr)
		if err == nil || time.Now().After(end) {
			return l, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// handler is the HTTP interface.
func handler(n *ensemble.Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s := n.Status()
		reply(w, http.StatusOK, map[string]any{
			"id": s.ID, "leader": s.Leader, "role": s.Role.String(), "ready": s.Ready, "reason": s.Reason.String(),
			"epoch": s.Epoch, "applied": s.Applied.String(), "znodes": s.Znodes,
		})
	})
	mux.HandleFunc("GET /v1/tree/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("sync") {
			if _, err := n.Sync(r.Context()); err != nil {
				fail(w, err)
				return
			}
		}
		if r.URL.Query().Has("children") {
			names, err := n.Children(r.Context(), path(r))
			if err != nil {
				fail(w, err)
				return
			}
			reply(w, http.StatusOK, names)
			return
		}
		z, err := n.Get(r.Context(), path(r))
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Ensemble-Zxid", z.Zxid.String())
		w.Write(z.Data)
	})
	mux.HandleFunc("PUT /v1/tree/{path...}", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		if err := put(r.Context(), n, path(r), data); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /v1/tree/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if err := n.Delete(r.Context(), path(r), ensemble.AnyVersion); err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /v1/watch/{path...}", func(w http.ResponseWriter, r *http.Request) { watch(n, w, r) })
	return mux
}

// watch writes a line for each event until the client has had enough: of the znode, with ?children of its children, with ?tree of all below it too; with ?after=ZXID also of
// what has happened since then.
func watch(n *ensemble.Node, w http.ResponseWriter, r *http.Request) {
	mode, q := ensemble.WatchNode, r.URL.Query()
	switch {
	case q.Has("tree"):
		mode = ensemble.WatchTree
	case q.Has("children"):
		mode = ensemble.WatchChildren
	}
	var watcher *ensemble.Watcher
	var err error
	if q.Has("after") {
		after, bad := ensemble.ParseZxid(q.Get("after"))
		if bad != nil {
			http.Error(w, bad.Error(), http.StatusBadRequest)
			return
		}
		watcher, err = n.WatchFrom(r.Context(), path(r), mode, after)
	} else {
		watcher, err = n.Watch(r.Context(), path(r), mode)
	}
	if err != nil {
		fail(w, err)
		return
	}
	defer watcher.Close()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Ensemble-Zxid", watcher.View().Zxid().String()) // where it begins
	out.Flush()
	for {
		events, err := watcher.Batch(r.Context())
		if err != nil {
			json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
			return
		}
		for _, e := range events {
			if json.NewEncoder(w).Encode(map[string]any{"type": e.Type.String(), "path": e.Path, "zxid": e.Zxid.String(), "data": e.Znode.Data}) != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// put creates the znode, or sets it if it is there.
func put(ctx context.Context, n *ensemble.Node, path string, data []byte) error {
	for {
		_, err := n.Create(ctx, path, data, ensemble.Persistent)
		if !errors.Is(err, ensemble.ErrNodeExists) {
			return err
		}
		if _, err = n.Set(ctx, path, data, ensemble.AnyVersion); !errors.Is(err, ensemble.ErrNoNode) {
			return err
		}
	}
}

func path(r *http.Request) string { return "/" + strings.TrimPrefix(r.PathValue("path"), "/") }

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable // try another member
	switch {
	case errors.Is(err, ensemble.ErrUncertain):
		code = http.StatusGatewayTimeout // it may have happened
	case errors.Is(err, ensemble.ErrNoNode):
		code = http.StatusNotFound
	case errors.Is(err, ensemble.ErrWatchGap):
		code = http.StatusGone // read anew
	case errors.Is(err, ensemble.ErrNotEmpty):
		code = http.StatusConflict
	case errors.Is(err, ensemble.ErrBadPath), errors.Is(err, ensemble.ErrBadArguments), errors.Is(err, ensemble.ErrTooLarge):
		code = http.StatusBadRequest
	}
	http.Error(w, err.Error(), code)
}
