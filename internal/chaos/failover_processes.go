package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// processes are those of a system that is not ours.
type processes struct {
	name, dir string
	live      map[int]*exec.Cmd
}

// role is what a process says that it is.
type role int

const (
	undecided role = iota
	follows
	leads
)

// directory makes the data directory of a process.
func (p *processes) directory(id int) (string, error) {
	dir := filepath.Join(p.dir, fmt.Sprint(p.name, "-", id))
	return dir, os.MkdirAll(dir, 0o700)
}

// run starts cmd. What it prints, unless that is taken already, goes to a file.
func (p *processes) run(id int, cmd *exec.Cmd) error {
	log, err := os.OpenFile(filepath.Join(p.dir, fmt.Sprintf("%s-%d.log", p.name, id)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr, cmd.SysProcAttr = log, dieWithUs()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.live[id] = cmd
	return nil
}

// settle launches what is not running, and waits until one leads and the others follow.
func (p *processes) settle(ctx context.Context, launch func(id int) error, roleOf func(id int) role) (leader int, err error) {
	for id := 1; id <= size; id++ {
		if p.live[id] == nil {
			if err := launch(id); err != nil {
				return 0, err
			}
		}
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		leader, followers := 0, 0
		for id := 1; id <= size; id++ {
			switch roleOf(id) {
			case leads:
				leader = id
			case follows:
				followers++
			}
		}
		if leader != 0 && followers == size-1 {
			return leader, nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			break
		}
	}
	return 0, fmt.Errorf("no leader of %s within a minute", p.name)
}

func (p *processes) end(id int) error {
	cmd := p.live[id]
	delete(p.live, id)
	err := cmd.Process.Kill()
	cmd.Wait()
	return err
}

func (p *processes) stop() {
	for id := range p.live {
		p.end(id)
	}
}
