package fleet

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/api"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/tokens"
)

// API is the HTTP API on what the commands use.
func (f *Fleet) API() (*api.API, error) {
	producer := f.Producer()
	return api.New(api.Options{Ledger: f.Ledger, Connectors: f.Connectors, Rules: f.ConnectorRules(), Tokens: f.APITokens(), Destination: Destination,
		Rate: f.Config.Limits.APIRequests, MaxBody: int64(f.Config.Limits.APIBody), Log: f.Log,
		Submit: func(ctx context.Context, run waybill.Run) (api.Submission, error) {
			done, err := producer.Submit(ctx, run)
			return api.Submission(done), err
		},
		Apply: func(ctx context.Context, by string, c connectors.Connector) (api.Applied, error) {
			a, err := f.ApplyConnector(ctx, handlers.Request{By: by}, c)
			return api.Applied{Change: a.Change, Retried: a.Retried, Resumed: a.Resumed}, err
		},
		Delete: func(ctx context.Context, by string, c connectors.Connector) error {
			_, err := f.Operations().Delete(ctx, handlers.Request{By: by}, c.ID, false)
			return err
		},
		Resume: f.ResumeConnector,
		Check: func(ctx context.Context, c connectors.Connector) api.Report {
			var text bytes.Buffer
			err := f.NewCheck(c, &text).Run(ctx, f)
			return api.Report{OK: err == nil, Text: text.String()}
		},
	})
}

// APITokens are the tokens of the HTTP API and the pages: those of the
// configuration, and those that were made with a command.
func (f *Fleet) APITokens() tokens.Book {
	return tokens.Book{Documents: f.Ledger, Fixed: f.fixedToken, Now: time.Now}
}

func (f *Fleet) fixedToken(ctx context.Context, name string) (tokens.Grant, error) {
	for _, t := range f.Config.Tokens {
		if t.Name != name {
			continue
		}
		hash, err := f.secrets.Resolve(ctx, t.Hash)
		if err != nil {
			return tokens.Grant{}, fmt.Errorf("token %s: %w", name, err)
		}
		return tokens.Grant{Name: t.Name, Scope: tokens.Scope(t.Scope), Teams: t.Teams,
			Tokens: []tokens.Token{{Hash: strings.ToLower(strings.TrimSpace(hash.Reveal()))}}}, nil
	}
	return tokens.Grant{}, waybill.ErrNotFound
}
