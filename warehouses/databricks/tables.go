package databricks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/catalog"

	"github.com/waybillhq/waybill"
)

// Table is a Delta table of the connector.
type Table struct {
	Name     string // WF_MOVIES__V1
	Location string // its URL, below the connector's storage path
	Schema   string // schemaString of the metaData in its log
}

// Register makes Unity Catalog know the table and its columns. Neither a
// commit nor a new schema reaches Unity Catalog by itself where somebody else
// than Databricks writes: call it after each change of the schema.
//
// https://docs.databricks.com/tables/external.html
func (w *Workspace) Register(ctx context.Context, c Connector, t Table) error {
	columns, err := columnsOf(t.Schema)
	if err != nil {
		return waybill.Failf(waybill.Permanent, "databricks.bad_schema", "Look at the worker's log: the table's own schema cannot be read.", "table %s: %w", t.Name, err)
	}
	if !public.MatchString(t.Name) || !strings.HasPrefix(t.Location, w.StoragePath(c)) {
		return waybill.Failf(waybill.Permanent, "databricks.not_public", "Look at the worker's log: only the connector's own public tables are registered.",
			"%s at %s is no public table of connector %s", waybill.Quote(t.Name), waybill.Quote(t.Location), c.ID)
	}
	api, err := w.api(ctx)
	if err != nil {
		return err
	}
	name, location := w.full(c, t.Name), w.place(t.Location)
	got, err := w.table(ctx, api, name)
	if err != nil {
		return err
	}
	if got == nil {
		err = w.execute(ctx, api, "create "+name, createTable(name, location), need{do: "register table " + name,
			grant: "USE CATALOG on catalog " + w.o.Catalog + ", and CREATE EXTERNAL TABLE on the external location of databricks.storage"})
	} else if err = sits(got, location); err == nil && !sameColumns(got.Columns, columns) {
		err = w.execute(ctx, api, "sync "+name, syncTable(name), need{do: "bring the schema of table " + name + " to Unity Catalog", grant: "ownership of the table, and READ FILES on its external location"})
	} else if err == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return w.registered(ctx, api, name, location, columns)
}

// registered reads back what was registered.
func (w *Workspace) registered(ctx context.Context, api *apis, name, location string, columns []column) error {
	got, err := w.table(ctx, api, name)
	switch {
	case err != nil:
		return err
	case got == nil:
		err = fmt.Errorf("table %s is not there after it was made", name)
	case !sameColumns(got.Columns, columns):
		err = fmt.Errorf("table %s has other columns than its log", name)
	default:
		return sits(got, location)
	}
	return &waybill.Failure{Verdict: waybill.Transient, Code: "databricks.stale_metadata", Err: err,
		Action: "Unity Catalog does not show the table as it is yet; the step is repeated by itself."}
}

func (w *Workspace) table(ctx context.Context, api *apis, name string) (*catalog.TableInfo, error) {
	got, err := api.tables.Get(ctx, catalog.GetTableRequest{FullName: name})
	if missing(err) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return got, failure(ctx, need{do: "look at table " + name, grant: "USE CATALOG on its catalog, and ownership of its schema"}, err)
}

// sits refuses a table of the right name that is something else.
func sits(got *catalog.TableInfo, location string) error {
	if got.TableType == catalog.TableTypeExternal && got.DataSourceFormat == catalog.DataSourceFormatDelta && samePlace(got.StorageLocation, location) {
		return nil
	}
	return blocked("databricks.table_taken", "The table "+got.FullName+" in Unity Catalog is not the connector's Delta table; drop or rename it.",
		"table %s is %s %s at %s, not at %s", got.FullName, got.TableType, got.DataSourceFormat, got.StorageLocation, location)
}

// Unregister makes Unity Catalog forget tables. Their files stay.
func (w *Workspace) Unregister(ctx context.Context, c Connector, tables []string) error {
	api, err := w.api(ctx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		name := w.full(c, t)
		if err := api.tables.Delete(ctx, catalog.DeleteTableRequest{FullName: name}); err != nil && !missing(err) {
			return failure(ctx, need{do: "drop table " + name, grant: "ownership of the table"}, err)
		}
	}
	return nil
}

func createTable(name, location string) string {
	return "CREATE TABLE IF NOT EXISTS " + quoteName(name) + " USING DELTA LOCATION " + quoteText(location)
}

func syncTable(name string) string { return "MSCK REPAIR TABLE " + quoteName(name) + " SYNC METADATA" }

type column struct{ name, typ string }

// columnsOf reads a Delta schema of plain columns.
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md#schema-serialization-format
func columnsOf(schema string) ([]column, error) {
	var s struct {
		Fields []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"fields"`
	}
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	columns := make([]column, len(s.Fields))
	for i, f := range s.Fields {
		columns[i] = column{f.Name, f.Type}
	}
	return columns, nil
}

// sqlTypes are the types that Unity Catalog calls by another name than Delta.
// https://docs.databricks.com/sql/language-manual/sql-ref-datatypes.html
var sqlTypes = map[string]string{"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}

func sameColumns(got []catalog.ColumnInfo, want []column) bool {
	if len(got) != len(want) {
		return false
	}
	for i, c := range want {
		typ := c.typ
		if sqlType, ok := sqlTypes[typ]; ok {
			typ = sqlType
		}
		if !strings.EqualFold(got[i].Name, c.name) || !strings.EqualFold(got[i].TypeText, typ) {
			return false
		}
	}
	return true
}
