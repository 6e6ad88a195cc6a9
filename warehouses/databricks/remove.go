package databricks

import (
	"context"
	"slices"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/sharing"
)

// Narrow takes back every shared table that keep, which is asked for the
// metadata tables too, does not want, and returns their names, in upper case.
// The tables stay registered: see [Workspace.Unregister].
func (w *Workspace) Narrow(ctx context.Context, c Connector, keep func(table string) bool) ([]string, error) {
	api, err := w.api(ctx)
	if err != nil {
		return nil, err
	}
	share, err := w.shareThere(ctx, api, c)
	if err != nil {
		return nil, err
	}
	var drop []string
	for _, o := range share.Objects {
		if table := strings.ToUpper(o.Name[strings.LastIndex(o.Name, ".")+1:]); !keep(table) {
			drop = append(drop, table)
		}
	}
	slices.Sort(drop)
	return drop, w.Unshare(ctx, c, drop)
}

// Revoke ends what the customer can read: first the grant, then the share and
// the recipient with its tokens. Schema, registrations and files stay. What is
// gone already is no error; what is not the connector's is not touched.
func (w *Workspace) Revoke(ctx context.Context, c Connector) error {
	api, err := w.api(ctx)
	if err != nil {
		return err
	}
	share, err := w.share(ctx, api, c)
	if err != nil {
		return err
	}
	recipient, err := w.recipient(ctx, api, c)
	if err != nil {
		return err
	}
	if share != nil && recipient != nil {
		_, err := api.shares.UpdatePermissions(ctx, sharing.UpdateSharePermissions{Name: share.Name, Changes: []sharing.PermissionsChange{
			{Principal: recipient.Name, Remove: []string{string(sharing.PrivilegeSelect)}}}})
		if err != nil && !missing(err) {
			return failure(ctx, need{do: "revoke SELECT on share " + share.Name, grant: "ownership of the share"}, err)
		}
	}
	if share != nil {
		if err := api.shares.Delete(ctx, sharing.DeleteShareRequest{Name: share.Name}); err != nil && !missing(err) {
			return failure(ctx, need{do: "delete share " + share.Name, grant: "ownership of the share"}, err)
		}
	}
	if recipient != nil {
		if err := api.recipients.Delete(ctx, sharing.DeleteRecipientRequest{Name: recipient.Name}); err != nil && !missing(err) {
			return failure(ctx, need{do: "delete recipient " + recipient.Name, grant: "ownership of the recipient"}, err)
		}
	}
	return nil
}

// Purge revokes and then makes Unity Catalog forget the connector's tables and
// its schema. The files below the storage path are for the caller to erase.
func (w *Workspace) Purge(ctx context.Context, c Connector) error {
	if err := w.Revoke(ctx, c); err != nil {
		return err
	}
	api, err := w.api(ctx)
	if err != nil {
		return err
	}
	name := w.schema(c)
	schema, err := api.schemas.Get(ctx, catalog.GetSchemaRequest{FullName: name})
	if missing(err) {
		return nil
	}
	if err == nil {
		err = owns(c, "schema", name, schema.Comment)
	}
	n := need{do: "drop schema " + name, grant: "ownership of the schema"}
	if err != nil {
		return failure(ctx, n, err)
	}
	tables, err := api.tables.ListAll(ctx, catalog.ListTablesRequest{CatalogName: w.o.Catalog, SchemaName: w.name(c)})
	if err != nil {
		return failure(ctx, n, err)
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		if names[i] = t.Name; !public.MatchString(t.Name) {
			return blocked("databricks.schema_in_use", "The schema "+name+" holds a table that Waybill did not make; move or drop it.", "schema %s holds %s", name, t.Name)
		}
	}
	if err := w.Unregister(ctx, c, names); err != nil {
		return err
	}
	err = api.schemas.Delete(ctx, catalog.DeleteSchemaRequest{FullName: name})
	if missing(err) {
		return nil
	}
	return failure(ctx, n, err)
}
