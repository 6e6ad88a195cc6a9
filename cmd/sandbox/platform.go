package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
	"github.com/waybillhq/waybill/internal/secrets"
)

// platformServer is the test server in place of the platform: it has a history,
// tells of the bundled runs in its activity log, and goes on telling.
type platformServer struct {
	*platform.Server
	key string // file that holds the API's key
}

func startPlatform(dir string) (*platformServer, error) {
	p := &platformServer{Server: platform.New(platform.Options{}), key: filepath.Join(dir, "own", "platform-key")}
	err := os.MkdirAll(filepath.Dir(p.key), 0o755)
	if err == nil {
		err = os.WriteFile(p.key, []byte(platform.Key), 0o600)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("write the test platform's key: %w", err)
	}
	return p, nil
}

// settings are what the fleet is to know of the platform.
func (p *platformServer) settings(cfg *config.Config) error {
	key, err := secrets.ParseRef("file:" + p.key)
	if err != nil {
		return fmt.Errorf("refer to the test platform's key: %w", err)
	}
	cfg.Platform = config.Platform{URL: p.URL, APIKey: key}
	cfg.Network.Allow = append(cfg.Network.Allow, p.URL) // it is on this machine, and not encrypted
	cfg.Sources.Allow = append(cfg.Sources.Allow, p.URL+"/")
	cfg.Times.Activity = 2 * time.Second // nobody waits a minute in a sandbox
	return nil
}

// began is a day on which nothing of the bundled runs had happened yet.
var began = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *platformServer) event(run waybill.Run, title string, at time.Time) {
	p.AddEvents(platform.Event{Title: title, DateTime: at,
		Source:   platform.EventSource{RequestSource: "API", UserID: "user_1", UserEmail: "ann@acme.example"},
		Resource: platform.EventResource{Type: "run", WorkflowID: run.WorkflowID, ResourceID: run.JobID, Name: run.WorkflowID},
		Details:  map[string]any{"records": run.RowCount, "_internalCost": 12}})
}

// finished tells what a run's life was.
func (p *platformServer) finished(run waybill.Run) {
	p.event(run, "Run started", run.FinishedAt.Add(-time.Minute))
	p.event(run, "Run finished", run.FinishedAt)
	p.event(run, "Run finished", run.FinishedAt) // told twice, and shown twice
}

// live tells of something each second.
func (p *platformServer) live(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case at := <-every.C:
			p.event(waybill.Run{RunKey: waybill.RunKey{WorkflowID: "wf_movies", JobID: "live"}, RowCount: n}, "Data viewed", at.UTC())
		}
	}
}

// awaitActivity asks for all activity of the connectors, and waits for it.
func (s *sandbox) awaitActivity(ctx context.Context, all []connectors.Connector) error {
	for _, c := range all {
		if !c.LogsActivity() {
			continue
		}
		if err := s.Ledger.RequestActivity(ctx, c.ID, began); err != nil {
			return err
		}
		for done := false; !done; {
			cursor, err := s.Ledger.ActivityCursor(ctx, c.ID)
			if err != nil {
				return err
			}
			done = !cursor.Requested.IsZero()
			for _, w := range cursor.Workflows {
				done = done && !w.From.Before(w.Since)
			}
			if f := cursor.Failure; f != nil {
				return fmt.Errorf("activity of %s: %s: %s %s", c.ID, f.Stage, f.Code, f.Action)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}
