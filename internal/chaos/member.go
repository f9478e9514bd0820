package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
	"github.com/ensemble-go/ensemble/transport/tcp"
	"github.com/ensemble-go/ensemble/transport/tcp/tcptest"
)

// routes is a Dialer that knows where the members are.
type routes map[string]string

func (r routes) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, r[addr])
}

// nameOf is the address of a member in the list of members, which is the same on all of them; what is there, routes knows.
func nameOf(id ensemble.ID) string { return fmt.Sprintf("member-%d.invalid:7400", id) }

// member is one process of the ensemble.
func member(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("member", flag.ContinueOnError)
	id := flags.Uint64("id", 0, "")
	peers := flags.String("peers", "", "where the members are reached, in the order of their ids")
	listen := flags.String("listen", "127.0.0.1:0", "")
	dir := flags.String("dir", "", "of the data")
	certs := flags.String("certificates", "", "directory of the certificates")
	notes := flags.String("events", "/dev/null", "file of the events")
	bytes := flags.Int64("snapshot-bytes", 0, "")
	kept := flags.Int("snapshots-kept", 0, "")
	mutant := flags.String("mutant", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := setMutant(*mutant); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin) // whoever started us has gone
		cancel()
	}()
	self := ensemble.ID(*id)
	config, err := tcptest.ReadFiles(*certs, self)
	if err != nil {
		return err
	}
	r := routes{}
	var members []ensemble.Member
	for i, addr := range strings.Split(*peers, ",") {
		m := ensemble.Member{ID: ensemble.ID(i + 1), Addr: nameOf(ensemble.ID(i + 1))}
		members, r[m.Addr] = append(members, m), addr
	}
	var l net.Listener
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) { // a port given may still be that of the process killed
		if l, err = net.Listen("tcp", *listen); err == nil {
			break
		} else if time.Now().After(end) {
			return err
		}
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	e, err := openEvents(*notes)
	if err != nil {
		return err
	}
	e.note(event{Kind: evRun})
	go e.watch()
	begin := time.Now()
	n, err := ensemble.Open(ctx, ensemble.Config{
		ID: self, Members: members, Dir: filepath.Clean(*dir), Logger: logger, SnapshotBytes: *bytes, SnapshotsKept: *kept,
		Transport: tcp.New(tcp.Config{Listener: l, Dialer: r, TLS: config, Logger: logger}),
		Trace: &ensemble.Trace{
			RoleChanged: func(c ensemble.RoleChange) {
				logger.Info("role", "new", c.New.String(), "leader", c.Leader, "epoch", c.Epoch, "at", time.Now().Format("15:04:05.000000"))
			},
			PeerChanged: func(c ensemble.PeerChange) {
				logger.Info("peer", "id", c.Peer, "reachable", c.Reachable, "err", c.Err, "at", time.Now().Format("15:04:05.000000"))
			},
			Synced: func(s ensemble.SyncedInfo) {
				logger.Info("synced", "zxid", s.Zxid, "epoch", s.Epoch, "at", time.Now().Format("15:04:05.000000"))
				if s.Leader == self {
					e.note(event{Kind: evLeads, Zxid: s.Zxid})
				}
			},
			SessionEnded: func(s ensemble.SessionEndInfo) {
				e.note(event{Kind: evEnded, Session: uint64(s.Session), Zxid: s.Zxid})
			},
			Stalled: func(s ensemble.StallInfo) { logger.Info("stalled", "for", s.Took) },
		},
	})
	if err != nil {
		return err
	}
	defer n.Close()
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer control.Close()
	go func() {
		for {
			c, err := control.Accept()
			if err != nil {
				return
			}
			go serve(ctx, n, e, c)
		}
	}()
	logger.Info("opened", "took", time.Since(begin))
	fmt.Printf("listening %s %s\n", l.Addr(), control.Addr())
	select {
	case <-n.Done():
		return n.Err()
	case <-ctx.Done():
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return n.Shutdown(ctx)
}
