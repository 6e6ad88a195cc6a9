package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
)

// tables tries all that the deliveries of a connector with Delta tables need:
// the place of the tables, then the workspace or the server that shows them.
func (c *Check) tables(ctx context.Context, f *Fleet) error {
	failed := c.Store(ctx, f.Tables)
	before := c.failed
	if c.connector.Kind == waybill.KindDatabricks {
		f.Workspace().Check(ctx, func(what string, err error) { c.try(what, "", func() error { return err }) })
	} else {
		c.try("reach the Delta Sharing server at "+f.Config.Sharing.URL, "", func() error { return reachable(ctx, f.Config.Sharing.URL) })
	}
	if e, has, err := f.Operations().TokenExpiry(ctx, c.connector); has && err == nil && (e.Tokens == 0 || e.Soon(c.now())) {
		fmt.Fprintln(c.out, "warning: the customer's token:", f.TokenExpiry(ctx, c.connector))
	}
	if c.failed == before {
		return failed
	}
	return fmt.Errorf("%d of %d checks failed", c.failed, c.steps)
}

// reachable asks the Delta Sharing server for its description, as a customer could.
func reachable(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/openapi.json", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("it does not answer; start waybill share, and see to what leads to it: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s; let sharing.url be the address of waybill share", url, resp.Status)
	}
	return nil
}

// probePath is below which the probe object is written: of tables, in their place.
func probePath(c connectors.Connector, brand string) string {
	if c.Storage == nil {
		return ""
	}
	return cmp.Or(c.Storage.Path, storage.DefaultPath(brand))
}

// snowflake tries all that the deliveries of a connector of kind snowflake
// need: our ingestion bucket, then our account, and what the share offers.
func (c *Check) snowflake(ctx context.Context, f *Fleet) error {
	report := func(what string, err error) { c.try(what, "", func() error { return err }) }
	d, err := f.Snowflake(ctx, c.connector)
	if err != nil {
		report("read the connector's settings", err)
	} else {
		if d.StageURL() != "" {
			_ = c.Store(ctx, func(ctx context.Context, _ connectors.Connector) (storage.Store, error) { return f.Ingest(ctx, d) }) // counted below
		}
		d.Check(ctx, report)
	}
	if c.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks failed", c.failed, c.steps)
}

// TokenExpiry says until when the connector's customer can read; empty for those
// whose customers have no tokens.
func (f *Fleet) TokenExpiry(ctx context.Context, c connectors.Connector) string {
	e, has, err := f.Operations().TokenExpiry(ctx, c)
	switch {
	case !has:
		return ""
	case err != nil:
		if failure, ok := errors.AsType[*waybill.Failure](err); ok {
			return "not known: " + failure.Code
		}
		return "not known"
	case e.Tokens == 0:
		return "none is valid; " + renewal(c)
	case e.Soon(time.Now()):
		return fmt.Sprintf("the newest of %d expires %s, soon; %s --rotate", e.Tokens, e.ExpiresAt.Format(time.RFC3339), renewal(c))
	}
	return fmt.Sprintf("the newest of %d expires %s", e.Tokens, e.ExpiresAt.Format(time.RFC3339))
}

// renewal is the command that gives the customer a token.
func renewal(c connectors.Connector) string {
	if c.Kind == waybill.KindDeltaSharing {
		return "waybill connector profile " + c.ID
	}
	return "waybill connector activation " + c.ID
}
