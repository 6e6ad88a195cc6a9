package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
)

func (p *program) worker() *cobra.Command {
	var queues, listen string
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Do the work of some queues until told to stop",
		Long: "Do the work of some queues until told to stop.\n\n" +
			"The first SIGTERM or SIGINT drains: no new task is taken, running attempts may finish; " +
			"the second gives running attempts back at once. Both are safe.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			sizes, total, err := parseQueues(queues)
			if err != nil {
				return err
			}
			f, err := p.open(cmd, total+20, config.NeedBucket)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			if err := f.RequireSafeRedis(cmd.Context()); err != nil {
				return err
			}
			f.Trace(cmd.Context())
			w, err := f.Worker(sizes)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), f, listen, f.Mux(), func(ctx context.Context) error { return w.Run(ctx, p.force) })
		},
	}
	cmd.Flags().StringVar(&queues, "queues", "export=8,snowflake=4,delta=4,activity=2,backfill=2", "queue=handlers at a time, separated by commas")
	cmd.Flags().StringVar(&listen, "listen", ":9100", "address of /metrics and /healthz")
	return cmd
}

func (p *program) scheduler() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Plan runs, refill the queues and repair what a crash left; serve the HTTP API and the pages",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			f, err := p.open(cmd, 20, config.NeedBucket)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			if err := f.RequireSafeRedis(cmd.Context()); err != nil {
				return err
			}
			f.Trace(cmd.Context())
			mux, err := f.SchedulerMux()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), f, listen, mux, f.RunScheduler)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":8080", "address of the pages, the HTTP API, /metrics and /healthz")
	return cmd
}

func (p *program) share() *cobra.Command {
	var listen, metrics string
	cmd := &cobra.Command{
		Use:   "share",
		Short: "Serve the tables of connectors of kind deltasharing to their customers",
		Long: "Serve the tables of connectors of kind deltasharing to their customers, by the open Delta Sharing protocol, " +
			"below the path of sharing.url. Put what ends TLS in front of it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			f, err := p.open(cmd, 40, config.NeedBucket)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			mux, err := f.ShareMux()
			if err != nil {
				return err
			}
			return serve(cmd.Context(), f, metrics, f.Mux(), func(ctx context.Context) error {
				return serve(ctx, f, listen, mux, func(ctx context.Context) error {
					<-ctx.Done()
					return nil
				})
			})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":8081", "address that customers reach: the protocol, and /healthz")
	cmd.Flags().StringVar(&metrics, "metrics", ":9100", "address of /metrics and /healthz, for the operator alone")
	return cmd
}

// serve serves HTTP beside the work, until the work ends.
func serve(ctx context.Context, f *fleet.Fleet, listen string, handler http.Handler, work func(context.Context) error) error {
	addr, stop, err := fleet.Serve(ctx, listen, handler)
	if err != nil {
		return err
	}
	f.Log.InfoContext(ctx, "started", "listen", addr.String())
	err = errors.Join(work(ctx), stop())
	f.Log.InfoContext(ctx, "stopped")
	return err
}

// parseQueues reads export=8,snowflake=4.
func parseQueues(text string) (sizes map[string]int, total int, err error) {
	sizes = map[string]int{}
	for part := range strings.SplitSeq(text, ",") {
		name, size, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(size)
		if !ok || err != nil || n < 1 {
			return nil, 0, fmt.Errorf("--queues %q: write queue=number, e.g. export=8", part)
		}
		if _, twice := sizes[name]; twice {
			return nil, 0, fmt.Errorf("--queues: %s stands twice", name)
		}
		sizes[name] = n
		total += n
	}
	return sizes, total, nil
}

// health asks a process of the fleet how it is: for containers without a shell.
func (p *program) health() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running process how it is; exits with 1 unless it is well",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
			if err != nil {
				return fmt.Errorf("--url: %w", err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", url, cmp.Or(resp.Status, "nothing"))
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return nil
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:9100/healthz", "the process's health page")
	return cmd
}
