package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ensemble-go/ensemble"
)

const size = 3

func everybody() (ids []ensemble.ID) {
	for id := ensemble.ID(1); id <= size; id++ {
		ids = append(ids, id)
	}
	return ids
}

// process is a member's.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	control string
	ended   chan struct{} // closed when it is no more
}

// dieWithUs ends a process when its parent is no more, however that came.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// cluster is the processes of an ensemble.
type cluster struct {
	dir   string
	net   *network // nil: the members reach each other directly, at addrs
	addrs []string
	flags map[ensemble.ID][]string

	mu   sync.Mutex
	live map[ensemble.ID]*process
	ends []end
}

// end is that of a member's process, at the latest.
type end struct {
	Member ensemble.ID
	At     int64 // monotonic
}

func (c *cluster) dataDir(id ensemble.ID) string { return filepath.Join(c.dir, fmt.Sprint(id)) }

// start starts the process of a member, and waits until it has opened its directory.
func (c *cluster) start(id ensemble.ID) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprintf("%d.log", id)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	var peers []string
	for to := ensemble.ID(1); to <= size; to++ {
		addr := "127.0.0.1:0" // nobody dials itself
		if c.net == nil {
			addr = c.addrs[to-1]
		} else if to != id {
			addr = c.net.addr(id, to)
		}
		peers = append(peers, addr)
	}
	args := []string{"member", "-id", fmt.Sprint(id), "-dir", c.dataDir(id), "-certificates", c.dir, "-peers", strings.Join(peers, ","), "-events", eventsFile(c.dir, id)}
	if c.net == nil {
		args = append(args, "-listen", c.addrs[id-1])
	}
	p := &process{cmd: exec.Command(exe, append(args, c.flags[id]...)...), ended: make(chan struct{})}
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = dieWithUs() // one that is stopped cannot see that we are gone
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
	var addr string
	if n, _ := fmt.Sscanf(line, "listening %s %s", &addr, &p.control); n != 2 {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		return fmt.Errorf("member %d does not start (%q, %v): see %s", id, line, err, log.Name())
	}
	go func() {
		p.cmd.Wait()
		c.mu.Lock()
		c.ends = append(c.ends, end{id, monotonic()})
		c.mu.Unlock()
		close(p.ended)
	}()
	if c.net != nil {
		c.net.target(id, addr)
	}
	c.mu.Lock()
	c.live[id] = p
	c.mu.Unlock()
	return nil
}

// startAll starts several members at once.
func (c *cluster) startAll(ids []ensemble.ID) error {
	errs := make([]error, len(ids))
	var group sync.WaitGroup
	for i, id := range ids {
		group.Go(func() { errs[i] = c.start(id) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (c *cluster) process(id ensemble.ID) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[id]
}

// kill kills a process. It reports whether that is what it died of.
func (c *cluster) kill(id ensemble.ID) bool {
	p := c.process(id)
	p.cmd.Process.Kill()
	<-p.ended
	s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
}

// signal stops or continues a process, and reports whether that is what it is then.
func (c *cluster) signal(id ensemble.ID, s syscall.Signal) bool {
	p := c.process(id)
	if p.cmd.Process.Signal(s) != nil {
		return false
	}
	for range 100 {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		_, state, _ := strings.Cut(string(text), ") ")
		if strings.HasPrefix(state, "T") == (s == syscall.SIGSTOP) {
			return state != ""
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// status asks a member for its own.
func (c *cluster) status(id ensemble.ID) (status, error) {
	k, err := dialControl(c.process(id).control)
	if err != nil {
		return status{}, err
	}
	defer k.c.Close()
	a, err := k.call(request{Timeout: time.Second})
	return a.Status, err
}

// leader finds the member that leads by its own opinion and that of another.
func (c *cluster) leader(ctx context.Context) (ensemble.ID, error) {
	for ctx.Err() == nil {
		votes := map[ensemble.ID]int{}
		for id := ensemble.ID(1); id <= size; id++ {
			if s, err := c.status(id); err == nil && s.Ready {
				if votes[s.Leader]++; s.Leader != 0 && votes[s.Leader] > size/2 {
					return s.Leader, nil
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, context.Cause(ctx)
}

// stop ends all processes, politely at first.
func (c *cluster) stop() error {
	c.mu.Lock()
	live := c.live
	c.live = map[ensemble.ID]*process{}
	c.mu.Unlock()
	for _, p := range live {
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.stdin.Close()
	}
	var err error
	for id, p := range live {
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			err = fmt.Errorf("member %d did not stop within 10 s", id)
			p.cmd.Process.Kill()
			<-p.ended
		}
	}
	return err
}
