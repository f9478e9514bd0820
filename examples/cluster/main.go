// Cluster runs an ensemble of three processes on this machine, over TCP with TLS and with a data directory each, and kills them one after the other:
//
//	go run ./examples/cluster [-kills 6]
//
// It writes all the time. After each kill it tells how long there was no service: from the kill to the answer of the first write that was begun after it. In the end
// every write that was acknowledged must be on all three. The last line begins with OK, and the exit status is 0; or it says what failed, and the status is 1.
//
// The same program is one member, for three terminals (or three machines, with a copy of DIR/certificates on each):
//
//	go run ./examples/cluster -id 1 -peers 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403 -http 127.0.0.1:8401 -dir /tmp/cluster
//	go run ./examples/cluster -id 2 -peers 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403 -http 127.0.0.1:8402 -dir /tmp/cluster
//	go run ./examples/cluster -id 3 -peers 127.0.0.1:7401,127.0.0.1:7402,127.0.0.1:7403 -http 127.0.0.1:8403 -dir /tmp/cluster
//
//	curl -X PUT --data hello 127.0.0.1:8401/v1/tree/greeting
//	curl 127.0.0.1:8402/v1/tree/greeting?sync
//	curl -N 127.0.0.1:8403/v1/watch/greeting
//	curl -X DELETE 127.0.0.1:8403/v1/tree/greeting
//	curl 127.0.0.1:8401/v1/status
//
// The HTTP interface trusts everybody who can reach it: keep it on this machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/ensemble-go/ensemble"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	summary, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("OK", summary)
}

func run(ctx context.Context, args []string) (string, error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	id := flags.Uint64("id", 0, "run this member only")
	peers := flags.String("peers", "", "addresses of all members, in the order of their ids 1, 2, 3, ...")
	dir := flags.String("dir", "", "where the data directories and the certificates are, or shall be")
	web := flags.String("http", "127.0.0.1:0", "address of the HTTP interface of this member")
	child := flags.Bool("child", false, "end when the standard input does")
	kills := flags.Int("kills", 6, "how often a process is killed")
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	if flags.NArg() > 0 {
		return "", fmt.Errorf("what is %q? see -help", flags.Arg(0))
	}
	if *id != 0 {
		m := member{id: ensemble.ID(*id), addrs: strings.Split(*peers, ","), dir: *dir, http: *web, child: *child}
		return m.run(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tmp, err := os.MkdirTemp("", "ensemble-cluster-")
	if err != nil {
		return "", err
	}
	summary, err := demonstrate(ctx, tmp, *kills)
	if err != nil {
		return "", fmt.Errorf("%w (logs and data are in %s)", err, filepath.Clean(tmp))
	}
	return summary, os.RemoveAll(tmp)
}
