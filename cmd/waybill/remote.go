package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/api"
	"github.com/waybillhq/waybill/internal/ledger"
)

// history is where deliveries are looked at and retried: the fleet's ledger,
// or a scheduler's API.
type history interface {
	List(ctx context.Context, f ledger.Filter) (ledger.Page, error)
	Story(ctx context.Context, id string) (ledger.Story, error)
	Retry(ctx context.Context, id string) error
}

var (
	_ history = (*ledger.Ledger)(nil)
	_ history = api.Client{}
)

// serverFlag lets a command ask a scheduler in place of Redis.
func (p *program) serverFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.server, "server", os.Getenv("WAYBILL_SERVER"), "ask this scheduler, https://host, in place of Redis; its token is in WAYBILL_TOKEN")
}

// client asks the scheduler that --server names.
func (p *program) client() (api.Client, error) {
	u, err := url.Parse(p.server)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return api.Client{}, errors.New("--server is not the address of a scheduler; write https://host")
	}
	token := os.Getenv("WAYBILL_TOKEN")
	if token == "" {
		return api.Client{}, errors.New("WAYBILL_TOKEN is missing; set it to a token that `waybill token create` made")
	}
	return api.Client{URL: p.server, Token: token}, nil
}

// withHistory runs a short command on the history of deliveries, wherever it is.
func (p *program) withHistory(run func(cmd *cobra.Command, h history, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if p.server == "" {
			return p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error { return run(cmd, f.Ledger, args) })(cmd, args)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		return run(cmd, client, args)
	}
}

// submitter hands in a run, and tells which deliveries it becomes.
type submitter func(ctx context.Context, run waybill.Run) (api.HandedIn, error)

// withSubmitter runs a short command that hands in runs, over Redis or the API.
func (p *program) withSubmitter(run func(cmd *cobra.Command, submit submitter) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if p.server == "" {
			return p.with(func(cmd *cobra.Command, f *fleet.Fleet, _ []string) error { return run(cmd, handIn(f)) })(cmd, args)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		return run(cmd, client.Submit)
	}
}

// handIn hands a run in where the fleet is. Ids of deliveries follow from run and connector.
func handIn(f *fleet.Fleet) submitter {
	producer := f.Producer()
	return func(ctx context.Context, run waybill.Run) (in api.HandedIn, err error) {
		done, err := producer.Submit(ctx, run)
		if err != nil {
			return in, err
		}
		all, err := f.Connectors.List(ctx, run.TeamID)
		if err != nil {
			return in, fmt.Errorf("it was handed in; which deliveries it becomes: %w", err)
		}
		return api.NewHandedIn(run, api.Submission(done), all), nil
	}
}
