package databricks

import (
	"context"
	"slices"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/iam"
	"github.com/databricks/databricks-sdk-go/service/sql"
)

// Check looks for all that connectors need of the workspace and reports each
// thing, with an error where it is missing, so that whoever mends it hears of
// everything at once. It changes nothing.
func (w *Workspace) Check(ctx context.Context, report func(what string, err error)) {
	api, err := w.api(ctx)
	var me *iam.User
	if err == nil {
		me, err = api.me.Me(ctx, iam.MeRequest{})
		err = failure(ctx, need{do: "log in"}, err)
	}
	report("log in", err)
	if err != nil {
		return // nothing else can be asked
	}
	who := me.UserName
	report("SQL warehouse "+w.o.WarehouseID, w.checkWarehouse(ctx, api))
	report("catalog "+w.o.Catalog, w.checkCatalog(ctx, api, who))
	location, err := w.checkLocation(ctx, api, who)
	report("external location of "+w.place(w.o.Storage), err)
	if location != nil {
		_, err := api.credentials.Get(ctx, catalog.GetStorageCredentialRequest{Name: location.CredentialName})
		report("storage credential "+location.CredentialName, failure(ctx, need{do: "use the storage credential", grant: "READ METADATA or any privilege on it",
			thing: "The storage credential " + location.CredentialName, code: "databricks.no_storage_credential"}, err))
	}
	report("shares and recipients", w.checkMetastore(ctx, api, who))
}

func (w *Workspace) checkWarehouse(ctx context.Context, api *apis) error {
	_, err := api.warehouses.Get(ctx, sql.GetWarehouseRequest{Id: w.o.WarehouseID})
	return failure(ctx, need{do: "use the SQL warehouse", grant: "CAN USE on it", thing: "The SQL warehouse of databricks.warehouseId", code: "databricks.no_warehouse"}, err)
}

func (w *Workspace) checkCatalog(ctx context.Context, api *apis, who string) error {
	n := need{do: "use the catalog", grant: "USE CATALOG and CREATE SCHEMA on catalog " + w.o.Catalog, thing: "The catalog " + w.o.Catalog, code: "databricks.no_catalog"}
	got, err := api.catalogs.Get(ctx, catalog.GetCatalogRequest{Name: w.o.Catalog})
	if err != nil {
		return failure(ctx, n, err)
	}
	return w.holds(ctx, api, securable{"catalog", got.Name, got.Owner}, who, catalog.PrivilegeUseCatalog, catalog.PrivilegeCreateSchema)
}

// checkLocation returns the external location that the storage lies in.
func (w *Workspace) checkLocation(ctx context.Context, api *apis, who string) (*catalog.ExternalLocationInfo, error) {
	all, err := api.locations.ListAll(ctx, catalog.ListExternalLocationsRequest{})
	if err != nil {
		return nil, failure(ctx, need{do: "list external locations", grant: "CREATE EXTERNAL TABLE on the external location of databricks.storage"}, err)
	}
	storage := w.place(w.o.Storage)
	i := slices.IndexFunc(all, func(l catalog.ExternalLocationInfo) bool {
		return strings.HasPrefix(storage, strings.TrimRight(l.Url, "/")+"/")
	})
	if i < 0 {
		return nil, failure(ctx, need{do: "find an external location"}, &statementError{code: "NO_PARENT_EXTERNAL_LOCATION_FOR_PATH", message: storage})
	}
	return &all[i], w.holds(ctx, api, securable{"external_location", all[i].Name, all[i].Owner}, who, catalog.PrivilegeCreateExternalTable, catalog.PrivilegeCreateManagedStorage)
}

func (w *Workspace) checkMetastore(ctx context.Context, api *apis, who string) error {
	got, err := api.metastores.Summary(ctx)
	if err != nil {
		return failure(ctx, need{do: "look at the metastore", grant: "access to it", thing: "A metastore of Unity Catalog"}, err)
	}
	return w.holds(ctx, api, securable{"metastore", got.MetastoreId, got.Owner}, who, catalog.PrivilegeCreateShare, catalog.PrivilegeCreateRecipient)
}

type securable struct{ kind, name, owner string }

// holds reports the privileges that we lack. UNCERTAIN: whether the workspace
// counts those that a group of ours has as its owner.
func (w *Workspace) holds(ctx context.Context, api *apis, s securable, who string, needed ...catalog.Privilege) error {
	if s.owner == who {
		return nil
	}
	title := strings.ReplaceAll(s.kind, "_", " ")
	request := catalog.GetEffectiveRequest{SecurableType: s.kind, FullName: s.name, Principal: who}
	for {
		got, err := api.grants.GetEffective(ctx, request)
		if err != nil {
			return failure(ctx, need{do: "look at our own privileges on " + title + " " + s.name, grant: "any privilege on it"}, err)
		}
		for _, a := range got.PrivilegeAssignments {
			for _, p := range a.Privileges {
				needed = slices.DeleteFunc(slices.Clone(needed), func(n catalog.Privilege) bool {
					return n == p.Privilege || p.Privilege == catalog.PrivilegeAllPrivileges
				})
			}
		}
		if request.PageToken = got.NextPageToken; request.PageToken == "" {
			break
		}
	}
	if len(needed) == 0 {
		return nil
	}
	names := make([]string, len(needed))
	for i, p := range needed {
		names[i] = strings.ReplaceAll(string(p), "_", " ")
	}
	lacking := strings.Join(names, " and ") + " on " + title + " " + s.name
	return blocked("databricks.permission_denied", "Grant Waybill's principal "+lacking+".", "%s lacks %s", who, lacking)
}
