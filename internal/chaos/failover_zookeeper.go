package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// zookeeperJar is where Debian's package has it, with all that it needs beside it.
const zookeeperJar = "/usr/share/java/zookeeper.jar"

// zookeeper is three servers of Apache ZooKeeper with the settings of its sample: a tickTime of 2 s, syncLimit 5, and a disk that is synced.
type zookeeper struct {
	processes
	quorum  []string // two addresses for each
	clients []string
	conns   map[int]*zk.Conn
}

func newZookeeper(dir string) (*zookeeper, error) {
	if _, err := os.Stat(zookeeperJar); err != nil {
		return nil, err
	}
	ports, err := freePorts(3 * size)
	if err != nil {
		return nil, err
	}
	return &zookeeper{processes{"zookeeper", dir, map[int]*exec.Cmd{}}, ports[:2*size], ports[2*size:], map[int]*zk.Conn{}}, nil
}

func (s *zookeeper) launch(id int) error {
	dir, err := s.directory(id)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(s.clients[id-1])
	cfg := fmt.Sprintf("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n", dir, port)
	for i := range size {
		_, second, _ := net.SplitHostPort(s.quorum[size+i])
		cfg += fmt.Sprintf("server.%d=%s:%s\n", i+1, s.quorum[i], second)
	}
	file := filepath.Join(dir, "zoo.cfg")
	if err := errors.Join(os.WriteFile(file, []byte(cfg), 0o600), os.WriteFile(filepath.Join(dir, "myid"), fmt.Append(nil, id), 0o600)); err != nil {
		return err
	}
	return s.run(id, exec.Command("java", "-Xmx512m", "-cp", zookeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file))
}

func (s *zookeeper) start(ctx context.Context) (int, error) { return s.settle(ctx, s.launch, s.role) }

func (s *zookeeper) role(id int) role {
	c, err := net.DialTimeout("tcp", s.clients[id-1], time.Second)
	if err != nil {
		return undecided
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write([]byte("srvr"))
	text, _ := io.ReadAll(c)
	switch {
	case strings.Contains(string(text), "Mode: leader\n"):
		return leads
	case strings.Contains(string(text), "Mode: follower\n"):
		return follows
	}
	return undecided
}

// one is the one server that a client knows. It is tried again after 5 ms, where the client's own provider waits for a second.
type one string

func (o one) Init([]string) error { return nil }
func (o one) Len() int            { return 1 }
func (o one) Connected()          {}
func (o one) Next() (string, bool) {
	time.Sleep(5 * time.Millisecond)
	return string(o), false
}

func (s *zookeeper) write(ctx context.Context, through int) error {
	c := s.conns[through]
	if c == nil {
		var err error
		if c, _, err = zk.Connect([]string{s.clients[through-1]}, 30*time.Second, zk.WithHostProvider(one(s.clients[through-1])), zk.WithLogInfo(false), zk.WithLogger(quiet{})); err != nil {
			return err
		}
		s.conns[through] = c
	}
	_, err := c.Set("/w", []byte("w"), -1)
	if errors.Is(err, zk.ErrNoNode) {
		_, err = c.Create("/w", nil, 0, zk.WorldACL(zk.PermAll))
	}
	return err
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func (s *zookeeper) kill(which int) error {
	if c := s.conns[which]; c != nil {
		c.Close()
		delete(s.conns, which)
	}
	return s.end(which)
}

func (s *zookeeper) stop() {
	for _, c := range s.conns {
		c.Close()
	}
	s.processes.stop()
}
