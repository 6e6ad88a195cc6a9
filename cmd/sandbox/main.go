// Command sandbox runs the whole system on one machine, in one process: Redis
// in memory, a folder as the customer's bucket, our Delta Sharing server, test
// servers in place of Snowflake, Databricks and the platform, a scheduler, a
// worker, the pages and the HTTP API. It delivers the bundled runs to a
// connector of each kind, prints what arrived where, and stays until Ctrl-C.
//
//	go run ./cmd/sandbox --once --dir OUT
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

type options struct {
	once    bool
	dir     string
	runFile string
	listen  string
	share   string
	verbose bool

	past     int
	activity time.Duration
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.once, "once", false, "exit when everything is delivered: 0 if every delivery is complete")
	flags.StringVar(&o.dir, "dir", "", "keep the output here: DIR/bucket is the customer's, DIR/delta holds the shared tables, DIR/profile.share opens them, DIR/ingest is staged for Snowflake, DIR/own is ours (default: a temporary folder)")
	flags.StringVar(&o.runFile, "f", "", "deliver this run (run.json) as well")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the pages and the HTTP API; another port is taken if this one is in use")
	flags.StringVar(&o.share, "share", "127.0.0.1:8081", "address of the Delta Sharing server; another port is taken if this one is in use")
	flags.IntVar(&o.past, "past", 12, "runs of the past that each connector is brought while live runs arrive")
	flags.DurationVar(&o.activity, "activity", 30*time.Second, "how long the activity logs are held against the platform's while that goes on telling; 0: one look")
	flags.BoolVar(&o.verbose, "v", false, "show what the scheduler and the worker log")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag; see -h", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "waybill-sandbox-"); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	runs, err := unpackRuns(filepath.Join(o.dir, "runs"), o.runFile)
	if err != nil {
		return err
	}
	s, err := start(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	deliveries, err := s.deliver(ctx, runs)
	if err != nil {
		return err
	}
	incomplete := s.report(stdout, deliveries)
	team := runs[0].TeamID
	if err := s.backfill(ctx, stdout, team, o.past); err != nil {
		return err
	}
	if !o.once {
		token, err := s.operator(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "\nPages    http://%s/         log in with the token  %s\nQueues   http://%s%s/  API  http://%s/openapi.json  Metrics  http://%s/metrics\nCtrl-C ends the sandbox.\n",
			s.addr, token, s.addr, fleet.QueueViewPath, s.addr, s.addr)
	}
	err = s.watchActivity(ctx, stdout, team, o.activity)
	if !o.once {
		if ctx.Err() == nil && err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	if err != nil {
		return err
	}
	if incomplete > 0 {
		return fmt.Errorf("%d of %d deliveries are not complete", incomplete, len(deliveries))
	}
	return nil
}

// free returns addr, or a free port of its host if addr is in use or leaves the port open.
func free(ctx context.Context, addr string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		host, _, _ := net.SplitHostPort(addr)
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0")); err != nil {
			return "", fmt.Errorf("listen: %w", err)
		}
	}
	defer l.Close() // it is opened again for the server
	return l.Addr().String(), nil
}
