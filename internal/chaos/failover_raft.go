package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	hraft "github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// raftMember is one process of hashicorp/raft: its default settings, its TCP transport, its BoltDB store.
func raftMember(args []string) error {
	flags := flag.NewFlagSet("raft-member", flag.ContinueOnError)
	id := flags.Int("id", 0, "")
	peers := flags.String("peers", "", "")
	dir := flags.String("dir", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	addrs := strings.Split(*peers, ",")
	conf := hraft.DefaultConfig()
	conf.LocalID, conf.LogOutput, conf.LogLevel = hraft.ServerID(fmt.Sprint(*id)), os.Stderr, "INFO"
	store, err := raftboltdb.NewBoltStore(filepath.Join(*dir, "raft.db"))
	if err != nil {
		return err
	}
	snaps, err := hraft.NewFileSnapshotStore(*dir, 2, os.Stderr)
	if err != nil {
		return err
	}
	transport, err := hraft.NewTCPTransport(addrs[*id-1], nil, 3, 10*time.Second, os.Stderr)
	if err != nil {
		return err
	}
	if has, err := hraft.HasExistingState(store, store, snaps); err != nil {
		return err
	} else if !has {
		var c hraft.Configuration
		for i, addr := range addrs {
			c.Servers = append(c.Servers, hraft.Server{ID: hraft.ServerID(fmt.Sprint(i + 1)), Address: hraft.ServerAddress(addr)})
		}
		if err := hraft.BootstrapCluster(conf, store, store, snaps, transport, c); err != nil {
			return err
		}
	}
	n, err := hraft.NewRaft(conf, forgetful{}, store, store, snaps, transport)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			e, d := gob.NewEncoder(c), gob.NewDecoder(c)
			for {
				var what, said string
				if d.Decode(&what) != nil {
					return
				}
				if what == "write" {
					if err := n.Apply([]byte("w"), 10*time.Second).Error(); err != nil {
						said = err.Error()
					}
				} else {
					addr, _ := n.LeaderWithID()
					said = fmt.Sprint(n.State(), " ", addr != "")
				}
				if e.Encode(said) != nil {
					return
				}
			}
		}()
	}
}

// forgetful is a state machine without state.
type forgetful struct{}

func (forgetful) Apply(*hraft.Log) any                  { return nil }
func (forgetful) Snapshot() (hraft.FSMSnapshot, error)  { return forgetful{}, nil }
func (forgetful) Restore(r io.ReadCloser) error         { return r.Close() }
func (forgetful) Persist(sink hraft.SnapshotSink) error { return sink.Close() }
func (forgetful) Release()                              {}

// raft is three processes of hashicorp/raft.
type raft struct {
	processes
	addrs []string
	conns map[int]*raftConn
}

type raftConn struct {
	c net.Conn
	e *gob.Encoder
	d *gob.Decoder
}

func newRaft(dir string) (*raft, error) {
	addrs, err := freePorts(size)
	return &raft{processes{"raft", dir, map[int]*exec.Cmd{}}, addrs, map[int]*raftConn{}}, err
}

func (s *raft) launch(id int) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := s.directory(id)
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "raft-member", "-id", fmt.Sprint(id), "-dir", dir, "-peers", strings.Join(s.addrs, ","))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.run(id, cmd); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("member %d of raft does not start: see the logs", id)
	}
	c, err := net.Dial("tcp", strings.TrimSpace(line))
	if err == nil {
		s.conns[id] = &raftConn{c, gob.NewEncoder(c), gob.NewDecoder(c)}
	}
	return err
}

func (s *raft) ask(id int, what string) (said string, err error) {
	k := s.conns[id]
	if k == nil {
		return "", errors.New("is dead")
	}
	k.c.SetDeadline(time.Now().Add(15 * time.Second))
	if err = k.e.Encode(what); err == nil {
		err = k.d.Decode(&said)
	}
	return said, err
}

func (s *raft) start(ctx context.Context) (int, error) { return s.settle(ctx, s.launch, s.role) }

// role is that of a follower only when it knows a leader: one that was just started does when it has been asked to follow it.
func (s *raft) role(id int) role {
	switch said, _ := s.ask(id, "state"); said {
	case "Leader true":
		return leads
	case "Follower true":
		return follows
	}
	return undecided
}

// write asks the one, then the others: a follower of raft passes nothing on, so a client has to find the leader.
func (s *raft) write(_ context.Context, through int) error {
	var errs []error
	for i := range size {
		said, err := s.ask((through-1+i)%size+1, "write")
		if err == nil && said == "" {
			return nil
		} else if err == nil {
			err = errors.New(said)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *raft) kill(which int) error {
	s.conns[which].c.Close()
	delete(s.conns, which)
	return s.end(which)
}
