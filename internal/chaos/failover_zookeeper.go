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
	dir     string
	quorum  []string // two addresses for each
	clients []string
	live    map[int]*exec.Cmd
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
	return &zookeeper{dir: dir, quorum: ports[:2*size], clients: ports[2*size:], live: map[int]*exec.Cmd{}, conns: map[int]*zk.Conn{}}, nil
}

func (s *zookeeper) launch(id int) error {
	dir := filepath.Join(s.dir, fmt.Sprint("zookeeper-", id))
	if err := os.MkdirAll(dir, 0o700); err != nil {
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
	log, err := os.OpenFile(filepath.Join(s.dir, fmt.Sprintf("zookeeper-%d.log", id)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("java", "-Xmx512m", "-cp", zookeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, dieWithUs()
	s.live[id] = cmd
	return cmd.Start()
}

// mode is what a server says that it is: leader or follower.
func (s *zookeeper) mode(id int) string {
	c, err := net.DialTimeout("tcp", s.clients[id-1], time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write([]byte("srvr"))
	text, _ := io.ReadAll(c)
	_, mode, _ := strings.Cut(string(text), "Mode: ")
	mode, _, _ = strings.Cut(mode, "\n")
	return mode
}

func (s *zookeeper) start(ctx context.Context) (int, error) {
	for id := 1; id <= size; id++ {
		if s.live[id] == nil {
			if err := s.launch(id); err != nil {
				return 0, err
			}
		}
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		leader, others := 0, 0
		for id := 1; id <= size; id++ {
			switch s.mode(id) {
			case "leader":
				leader = id
			case "follower":
				others++
			}
		}
		if leader != 0 && others == size-1 {
			return leader, nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			break
		}
	}
	return 0, errors.New("no leader of ZooKeeper within a minute")
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
	cmd := s.live[which]
	delete(s.live, which)
	err := cmd.Process.Kill()
	cmd.Wait()
	return err
}

func (s *zookeeper) stop() {
	for _, c := range s.conns {
		c.Close()
	}
	for _, cmd := range s.live {
		cmd.Process.Kill()
		cmd.Wait()
	}
}
