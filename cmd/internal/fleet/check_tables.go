package fleet

import (
	"cmp"
	"context"
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
