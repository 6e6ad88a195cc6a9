package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/storage"
)

// tables tries all that the deliveries of a connector with Delta tables need:
// the place of the tables, then the workspace or the server that shows them.
func (c *check) tables(ctx context.Context, f *fleet.Fleet) error {
	failed := c.run(ctx, f.Tables)
	before := c.failed
	if c.connector.Kind == waybill.KindDatabricks {
		f.Workspace().Check(ctx, func(what string, err error) { c.try(what, "", func() error { return err }) })
	} else {
		c.try("reach the Delta Sharing server at "+f.Config.Sharing.URL, "", func() error { return reachable(ctx, f.Config.Sharing.URL) })
	}
	if e, has, err := f.Operations().TokenExpiry(ctx, c.connector); has && err == nil && (e.Tokens == 0 || e.Soon(c.now())) {
		fmt.Fprintln(c.out, "warning: the customer's token:", expiryText(ctx, f, c.connector))
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

// tablesText is the customer's side of a connector with Delta tables.
func tablesText(w io.Writer, c connectors.Connector, brand string) error {
	text := openText
	if c.Databricks != nil && c.Databricks.Recipient == connectors.RecipientDatabricks {
		text = catalogText
	}
	share, schema := c.ID, brand
	if c.Databricks != nil { // as the workspace names them
		schema = strings.ReplaceAll(c.ID, "-", "_")
		share = brand + "_" + schema
	}
	_, err := strings.NewReplacer("{share}", share, "{schema}", schema, "{id}", c.ID).WriteString(w, text)
	return err
}

const catalogText = `-- In the customer's Databricks workspace, by who may CREATE CATALOG and USE PROVIDER.
-- https://docs.databricks.com/delta-sharing/read-data-databricks.html
SHOW PROVIDERS;
SHOW SHARES IN PROVIDER ` + "`YOUR_PROVIDER`" + `; -- the one that has {share}
CREATE CATALOG IF NOT EXISTS ` + "`{share}`" + ` USING SHARE ` + "`YOUR_PROVIDER`.`{share}`" + `;
SHOW TABLES IN ` + "`{share}`.`{schema}`" + `;
SELECT * FROM ` + "`{share}`.`{schema}`" + `.WORKFLOW_RUNS ORDER BY RUN_FINISHED_AT DESC;
`

const openText = `# With any client of the open protocol, e.g. Python: pip install delta-sharing
# https://github.com/delta-io/delta-sharing/blob/main/README.md
import delta_sharing

profile = "{id}.share"  # the file that you were given
for table in delta_sharing.SharingClient(profile).list_all_tables():
    print(table.share, table.schema, table.name)
print(delta_sharing.load_as_pandas(profile + "#{share}.{schema}.WORKFLOW_RUNS"))
`
