// Ephemeral runs an ensemble in two processes. One of them registers itself, by an ephemeral znode of a session with a timeout of a second, and is killed; the other one
// sees the znode vanish, and says after how long:
//
//	go run ./examples/ephemeral
//
// The process that stays runs two members, so that there is a quorum without the other, which runs the third. The last line begins with OK, and the exit status is 0; or it
// says what failed, and the status is 1.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
)

const (
	service = "/services"
	timeout = time.Second
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var summary string
	var err error
	if len(os.Args) == 3 && os.Args[1] == "register" {
		err = register(ctx, strings.Split(os.Args[2], ","))
	} else {
		summary, err = watch(ctx, os.Args[0])
	}
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("OK", summary)
}

// open starts a member. Nobody else can reach the loopback interface, so it does without certificates.
func open(ctx context.Context, id ensemble.ID, addrs []string) (*ensemble.Node, error) {
	var members []ensemble.Member
	for i, addr := range addrs {
		members = append(members, ensemble.Member{ID: ensemble.ID(i + 1), Addr: addr})
	}
	return ensemble.Open(ctx, ensemble.Config{
		ID: id, Members: members, Transport: tcp.New(tcp.Config{Listen: addrs[id-1], Insecure: true}),
	})
}

// register is the process that will be killed.
func register(ctx context.Context, addrs []string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin) // whoever started us has gone
		os.Exit(1)
	}()
	n, err := open(ctx, 3, addrs)
	if err != nil {
		return err
	}
	defer n.Close()
	if _, err := n.Create(ctx, service, nil, ensemble.Persistent); err != nil && !errors.Is(err, ensemble.ErrNodeExists) {
		return err
	}
	s, err := n.NewSession(ctx, ensemble.SessionOptions{Timeout: timeout})
	if err != nil {
		return err
	}
	path, err := s.Create(ctx, service+"/worker-", []byte(fmt.Sprint("process ", os.Getpid())), ensemble.Ephemeral|ensemble.Sequential)
	if err != nil {
		return err
	}
	fmt.Println(path)
	<-s.Context().Done() // as long as this lasts nobody else believes that we are gone
	return context.Cause(s.Context())
}

// watch is the process that stays.
func watch(ctx context.Context, program string) (string, error) {
	addrs, err := ports(3)
	if err != nil {
		return "", err
	}
	var nodes []*ensemble.Node
	for id := ensemble.ID(1); id <= 2; id++ {
		n, err := open(ctx, id, addrs)
		if err != nil {
			return "", err
		}
		defer n.Close()
		nodes = append(nodes, n)
	}
	cmd := exec.CommandContext(ctx, program, "register", strings.Join(addrs, ","))
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer cmd.Process.Kill()
	n := nodes[0]
	line, err := bufio.NewReader(out).ReadString('\n')
	path := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(path, service) {
		return "", fmt.Errorf("the other process said %q: %v", line, err)
	}
	if _, err := n.Sync(ctx); err != nil {
		return "", err
	}
	z, err := n.Get(ctx, path)
	if err != nil {
		return "", err
	}
	fmt.Printf("%s is %s\n", path, z.Data)
	if err := stays(ctx, n, path, 2*timeout); err != nil {
		return "", err
	}
	fmt.Printf("it is there after %v; killed\n", 2*timeout)
	killed := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		return "", err
	}
	gone, err := vanishes(ctx, n, path)
	if err != nil {
		return "", err
	}
	// If the other process led, the next leader grants every session its whole timeout anew.
	if after := gone.Sub(killed); after < timeout/2 || after > 10*timeout {
		return "", fmt.Errorf("%s vanished after %v", path, after)
	}
	return fmt.Sprintf("%s vanished %v after its process was killed, with a timeout of %v", path, gone.Sub(killed).Round(time.Millisecond), timeout), nil
}

// stays returns an error if path vanishes before d has passed.
func stays(ctx context.Context, n *ensemble.Node, path string, d time.Duration) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	switch _, err := vanishes(short, n, path); {
	case err == nil:
		return fmt.Errorf("%s vanished while its process was alive", path)
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil
	default:
		return err
	}
}

// vanishes returns when path is there no more, by what this node has.
func vanishes(ctx context.Context, n *ensemble.Node, path string) (time.Time, error) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if _, there, err := n.Exists(ctx, path); err != nil || !there {
			return time.Now(), err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// ports returns addresses that are free at this moment.
func ports(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
