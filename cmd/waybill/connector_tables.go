package main

import (
	"io"
	"strings"

	"github.com/waybillhq/waybill/internal/connectors"
)

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
