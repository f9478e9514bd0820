package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ensemble-go/ensemble"
)

// process is a member in a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	base  string // of its HTTP interface
}

// cluster is the three of them, and what was written through them.
type cluster struct {
	dir   string
	addrs []string

	mu      sync.Mutex
	live    map[ensemble.ID]*process
	written map[string]string // acknowledged
	acks    chan ack
}

// ack tells when a write was begun and when it was acknowledged.
type ack struct{ begun, done time.Time }

const size = 3

func demonstrate(ctx context.Context, dir string, kills int) (summary string, err error) {
	c := &cluster{dir: dir, live: map[ensemble.ID]*process{}, written: map[string]string{}, acks: make(chan ack, 1)}
	if c.addrs, err = ports(); err != nil {
		return "", err
	}
	defer c.stop()
	for id := ensemble.ID(1); id <= size; id++ {
		if err := c.start(ctx, id); err != nil {
			return "", err
		}
	}
	for id := ensemble.ID(1); id <= size; id++ {
		s, err := c.ready(ctx, id)
		if err != nil {
			return "", err
		}
		fmt.Printf("member %d: process %d, %s, %s, epoch %d\n", id, c.live[id].cmd.Process.Pid, c.live[id].base, s.Role, s.Epoch)
	}
	if err := c.put(ctx, "w", ""); err != nil {
		return "", err
	}
	writing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.write(writing) }()
	defer stop()

	var worst time.Duration
	for k := range kills {
		s, err := c.ready(ctx, 1)
		if err != nil {
			return "", err
		}
		id, what := s.Leader, "leader"
		if k%3 == 2 {
			id, what = id%size+1, "follower"
		}
		down, err := c.kill(ctx, id)
		if err != nil {
			return "", err
		}
		worst = max(worst, down)
		fmt.Printf("member %d (%s) was killed: no service for %v\n", id, what, down.Round(100*time.Microsecond))
		if err := c.start(ctx, id); err != nil {
			return "", err
		}
		if _, err := c.ready(ctx, id); err != nil {
			return "", err
		}
	}
	stop()
	if err := <-ended; err != nil {
		return "", err
	}
	if err := c.check(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d kills, no service for %v at most; %d writes were acknowledged and none is lost", kills, worst.Round(100*time.Microsecond), len(c.written)), nil
}

// ports finds ports that are free now.
func ports() (addrs []string, err error) {
	for range size {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// start starts the process of a member, and learns from it where its HTTP interface is.
func (c *cluster) start(ctx context.Context, id ensemble.ID) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprintf("%d.log", id)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := &process{cmd: exec.CommandContext(ctx, exe, "-id", fmt.Sprint(id), "-peers", strings.Join(c.addrs, ","), "-dir", c.dir, "-child")}
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if err != nil || !ok {
		p.cmd.Process.Kill()
		return fmt.Errorf("member %d does not start: %q", id, strings.TrimSpace(line))
	}
	p.base = "http://" + strings.TrimSuffix(url, "/v1/status")
	c.mu.Lock()
	c.live[id] = p
	c.mu.Unlock()
	return nil
}

// status is what GET /v1/status says.
type status struct {
	Leader ensemble.ID
	Role   string
	Ready  bool
	Epoch  uint32
}

// ready waits until the member serves.
func (c *cluster) ready(ctx context.Context, id ensemble.ID) (s status, err error) {
	for {
		body, err := c.do(ctx, http.MethodGet, id, "/v1/status", nil)
		if err == nil {
			err = json.Unmarshal(body, &s)
		}
		if err != nil || s.Ready && s.Leader != 0 {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("member %d is not ready: %w", id, context.Cause(ctx))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// kill kills a process, with no chance to say a word, and returns how long there was no service.
func (c *cluster) kill(ctx context.Context, id ensemble.ID) (time.Duration, error) {
	for len(c.acks) > 0 {
		<-c.acks
	}
	select { // while it is writing
	case <-c.acks:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	c.mu.Lock()
	p := c.live[id]
	delete(c.live, id)
	c.mu.Unlock()
	killed := time.Now()
	if err := p.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	p.cmd.Wait() // it was killed
	for {
		select {
		case a := <-c.acks:
			if a.begun.After(killed) {
				return a.done.Sub(killed), nil
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("no service after member %d was killed: %w", id, context.Cause(ctx))
		}
	}
}

// write writes one znode after the other. A write that a member does not answer is given to the next; writing the same twice does no harm.
func (c *cluster) write(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		name, data := fmt.Sprintf("%06d", i), fmt.Sprintf("data of %d", i)
		a := ack{begun: time.Now()}
		if err := c.put(ctx, "w/"+name, data); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		a.done = time.Now()
		c.mu.Lock()
		c.written[name] = data
		c.mu.Unlock()
		select {
		case c.acks <- a:
		default:
			select { // the newest counts
			case <-c.acks:
			default:
			}
			c.acks <- a
		}
	}
	return nil
}

func (c *cluster) put(ctx context.Context, path, data string) error {
	for id := ensemble.ID(1); ; id = id%size + 1 {
		c.mu.Lock()
		_, live := c.live[id]
		c.mu.Unlock()
		if !live {
			continue
		}
		_, err := c.do(ctx, http.MethodPut, id, "/v1/tree/"+path, []byte(data))
		if err == nil || ctx.Err() != nil {
			return err
		}
		if s := (refused{}); errors.As(err, &s) && s.code < 500 {
			return err
		}
	}
}

// refused is an answer that is an error.
type refused struct {
	code int
	text string
}

func (r refused) Error() string { return fmt.Sprintf("%d: %s", r.code, r.text) }

func (c *cluster) do(ctx context.Context, method string, id ensemble.ID, path string, body []byte) ([]byte, error) {
	c.mu.Lock()
	p := c.live[id]
	c.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("member %d is down", id)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = refused{answer.StatusCode, strings.TrimSpace(string(text))}
	}
	return text, err
}

// check looks for everything that was acknowledged, on each member.
func (c *cluster) check(ctx context.Context) error {
	for id := ensemble.ID(1); id <= size; id++ {
		body, err := c.do(ctx, http.MethodGet, id, "/v1/tree/w?children&sync", nil)
		if err != nil {
			return fmt.Errorf("member %d: %w", id, err)
		}
		var names []string
		if err := json.Unmarshal(body, &names); err != nil {
			return err
		}
		if len(names) < len(c.written) {
			return fmt.Errorf("member %d holds %d znodes, and %d were acknowledged", id, len(names), len(c.written))
		}
		for name, data := range c.written {
			if body, err := c.do(ctx, http.MethodGet, id, "/v1/tree/w/"+name, nil); err != nil || string(body) != data {
				return fmt.Errorf("member %d: w/%s holds %q, not %q: %v", id, name, body, data, err)
			}
		}
		fmt.Printf("member %d has all %d writes that were acknowledged\n", id, len(c.written))
	}
	return nil
}

// stop ends all processes, politely.
func (c *cluster) stop() {
	c.mu.Lock()
	live := c.live
	c.live = map[ensemble.ID]*process{}
	c.mu.Unlock()
	for _, p := range live {
		p.stdin.Close()
	}
	for _, p := range live {
		end := time.AfterFunc(10*time.Second, func() { p.cmd.Process.Kill() })
		p.cmd.Wait()
		end.Stop()
	}
}
