package databricks

import (
	"cmp"
	"context"
	"slices"

	"github.com/databricks/databricks-sdk-go/service/catalog"
	"github.com/databricks/databricks-sdk-go/service/sharing"

	"github.com/waybillhq/waybill"
)

// Setup is what a connector has at the workspace.
type Setup struct {
	Recipient, Share, Schema string
	StoragePath              string // URL; ends in a slash
	Tables                   int    // shared so far
}

// Provision makes the connector's recipient, schema with its storage path,
// share and grant, each where it is missing, and reads all of them back. Call
// it before anything is written or shared: a first time, it verifies a share
// of nothing, so that a mistake shows nobody's data.
//
// A recipient that is gone although the share is there was removed by
// somebody, and is not made again: the failure is databricks.recipient_gone.
func (w *Workspace) Provision(ctx context.Context, c Connector) (Setup, error) {
	return w.provision(ctx, c, false)
}

// Reinstate is Provision, but it makes a recipient again that somebody removed.
func (w *Workspace) Reinstate(ctx context.Context, c Connector) (Setup, error) {
	return w.provision(ctx, c, true)
}

func (w *Workspace) provision(ctx context.Context, c Connector, reinstate bool) (Setup, error) {
	api, err := w.api(ctx)
	if err != nil {
		return Setup{}, err
	}
	share, err := w.share(ctx, api, c)
	if err != nil {
		return Setup{}, err
	}
	if err := w.ensureRecipient(ctx, api, c, share == nil || reinstate); err != nil {
		return Setup{}, err
	}
	if err := w.ensureSchema(ctx, api, c); err != nil {
		return Setup{}, err
	}
	if err := w.ensureShare(ctx, api, c, share); err != nil {
		return Setup{}, err
	}
	if err := w.ensureGrant(ctx, api, c); err != nil {
		return Setup{}, err
	}
	tables, err := w.Verify(ctx, c, nil)
	return Setup{Recipient: w.name(c), Share: w.name(c), Schema: w.schema(c), StoragePath: w.StoragePath(c), Tables: len(tables)}, err
}

// ensureSchema: its storage root records the connector's path, and keeps
// anybody else's managed tables out of it.
func (w *Workspace) ensureSchema(ctx context.Context, api *apis, c Connector) error {
	root := w.place(w.StoragePath(c))
	name, n := w.schema(c), need{do: "create schema " + w.schema(c), thing: "The catalog " + w.o.Catalog, code: "databricks.no_catalog",
		grant: "USE CATALOG and CREATE SCHEMA on catalog " + w.o.Catalog + ", and CREATE MANAGED STORAGE on the external location of databricks.storage"}
	got, err := api.schemas.Get(ctx, catalog.GetSchemaRequest{FullName: name})
	if missing(err) {
		got, err = api.schemas.Create(ctx, catalog.CreateSchema{CatalogName: w.o.Catalog, Name: w.name(c), Comment: mark(c), StorageRoot: root})
	}
	if taken(err) { // another worker made it since
		got, err = api.schemas.Get(ctx, catalog.GetSchemaRequest{FullName: name})
	}
	if err != nil {
		return failure(ctx, n, err)
	}
	if err := owns(c, "schema", name, got.Comment); err != nil {
		return err
	}
	if !samePlace(got.StorageRoot, root) {
		return blocked("databricks.storage_moved", "The schema "+name+" has its storage elsewhere than databricks.storage says; restore that setting, or use another connector id.",
			"schema %s lies at %s, not at %s", name, got.StorageRoot, root)
	}
	return w.ensureOwnerReads(ctx, api, c)
}

// ensureOwnerReads: what the share's owner cannot read, nobody reads through it.
// https://docs.databricks.com/delta-sharing/create-share.html
func (w *Workspace) ensureOwnerReads(ctx context.Context, api *apis, c Connector) error {
	if w.o.Owner == "" {
		return nil
	}
	_, err := api.grants.Update(ctx, catalog.UpdatePermissions{SecurableType: "schema", FullName: w.schema(c), Changes: []catalog.PermissionsChange{
		{Principal: w.o.Owner, Add: []catalog.Privilege{catalog.PrivilegeUseSchema, catalog.PrivilegeSelect}}}})
	return failure(ctx, need{do: "grant USE SCHEMA and SELECT on schema " + w.schema(c) + " to " + w.o.Owner, grant: "MANAGE on that schema"}, err)
}

// share returns the connector's share with its objects, or nil if there is none.
func (w *Workspace) share(ctx context.Context, api *apis, c Connector) (*sharing.ShareInfo, error) {
	got, err := api.shares.Get(ctx, sharing.GetShareRequest{Name: w.name(c), IncludeSharedData: true})
	if missing(err) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, failure(ctx, need{do: "look at share " + w.name(c), grant: "USE SHARE on the metastore"}, err)
	}
	return got, owns(c, "share", got.Name, got.Comment)
}

// shareThere returns the connector's share, which must be there.
func (w *Workspace) shareThere(ctx context.Context, api *apis, c Connector) (*sharing.ShareInfo, error) {
	share, err := w.share(ctx, api, c)
	if err == nil && share == nil {
		err = w.shareGone(c)
	}
	return share, err
}

func (w *Workspace) ensureShare(ctx context.Context, api *apis, c Connector, was *sharing.ShareInfo) error {
	n := need{do: "create share " + w.name(c), grant: "CREATE SHARE on the metastore"}
	if was == nil {
		_, err := api.shares.Create(ctx, sharing.CreateShare{Name: w.name(c), Comment: mark(c)})
		if err != nil && !taken(err) {
			return failure(ctx, n, err)
		}
		if was, err = w.share(ctx, api, c); err != nil {
			return err
		}
	}
	return failure(ctx, n, w.ensureOwner(ctx, api, c, was))
}

func (w *Workspace) ensureOwner(ctx context.Context, api *apis, c Connector, share *sharing.ShareInfo) error {
	if share == nil || w.o.Owner == "" || share.Owner == w.o.Owner {
		return nil
	}
	_, err := api.shares.Update(ctx, sharing.UpdateShare{Name: w.name(c), Owner: w.o.Owner})
	return err
}

func (w *Workspace) ensureGrant(ctx context.Context, api *apis, c Connector) error {
	readers, err := w.readers(ctx, api, c)
	if err != nil || slices.Contains(readers, w.name(c)) {
		return err
	}
	_, err = api.shares.UpdatePermissions(ctx, sharing.UpdateSharePermissions{Name: w.name(c), Changes: []sharing.PermissionsChange{
		{Principal: w.name(c), Add: []string{string(sharing.PrivilegeSelect)}}}})
	return failure(ctx, need{do: "grant SELECT on share " + w.name(c), grant: "ownership of the share and the recipient " + w.name(c)}, err)
}

// readers lists who may read the connector's share.
func (w *Workspace) readers(ctx context.Context, api *apis, c Connector) ([]string, error) {
	var readers []string
	request := sharing.SharePermissionsRequest{Name: w.name(c)}
	for {
		got, err := api.shares.SharePermissions(ctx, request)
		if err != nil {
			return nil, failure(ctx, need{do: "look at who may read share " + w.name(c), grant: "ownership of the share", thing: "The share " + w.name(c)}, err)
		}
		for _, a := range got.PrivilegeAssignments {
			if slices.Contains(a.Privileges, sharing.PrivilegeSelect) || slices.Contains(a.Privileges, sharing.PrivilegeAllPrivileges) {
				readers = append(readers, cmp.Or(a.Principal, "(deleted)"))
			}
		}
		if request.PageToken = got.NextPageToken; request.PageToken == "" {
			return readers, nil
		}
	}
}

// ensureRecipient finds the connector's recipient, or makes it where it may.
func (w *Workspace) ensureRecipient(ctx context.Context, api *apis, c Connector, create bool) error {
	got, err := w.recipient(ctx, api, c)
	switch {
	case err != nil:
		return err
	case got == nil && !create:
		return w.recipientGone(c)
	case got == nil:
		if got, err = w.createRecipient(ctx, api, c); err != nil {
			return err
		}
	}
	if err := w.matches(c, got); err != nil {
		return err
	}
	return w.settle(ctx, api, c, got)
}

func (w *Workspace) recipientGone(c Connector) error {
	return blocked("databricks.recipient_gone", "Somebody removed the recipient "+w.name(c)+", so that the customer reads nothing; "+
		"resume the connector if the customer shall read again, or delete it.", "recipient %s does not exist", w.name(c))
}

// recipient returns the connector's recipient, or nil if there is none.
func (w *Workspace) recipient(ctx context.Context, api *apis, c Connector) (*sharing.RecipientInfo, error) {
	got, err := api.recipients.Get(ctx, sharing.GetRecipientRequest{Name: w.name(c)})
	if missing(err) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, failure(ctx, need{do: "look at recipient " + w.name(c), grant: "USE RECIPIENT on the metastore"}, err)
	}
	return got, owns(c, "recipient", got.Name, got.Comment)
}

func (w *Workspace) createRecipient(ctx context.Context, api *apis, c Connector) (*sharing.RecipientInfo, error) {
	in := sharing.CreateRecipient{Name: w.name(c), Comment: mark(c)}
	if c.Mode == ModeToken {
		in.AuthenticationType = sharing.AuthenticationTypeToken
		in.ExpirationTime = w.o.Now().Add(c.TokenLifetime).UnixMilli()
		if len(c.AllowedIPs) > 0 {
			in.IpAccessList = &sharing.IpAccessList{AllowedIpAddresses: c.AllowedIPs}
		}
	} else {
		in.AuthenticationType = sharing.AuthenticationTypeDatabricks
		in.DataRecipientGlobalMetastoreId = c.SharingIdentifier
	}
	made, err := api.recipients.Create(ctx, in)
	if taken(err) {
		if made, err = w.recipient(ctx, api, c); err == nil && made == nil {
			// A metastore has one recipient a sharing identifier, whatever its name.
			return nil, blocked("databricks.identifier_taken", "Another recipient of the workspace has the customer's sharing identifier already, and there can be one alone; "+
				"remove that one, or have the customer read with a token.", "no recipient %s, and none can be made for %s", w.name(c), c.SharingIdentifier)
		}
	}
	return made, failure(ctx, need{do: "create recipient " + w.name(c), grant: "CREATE RECIPIENT on the metastore"}, err)
}

// matches refuses a recipient that is not the one that the connector names.
func (w *Workspace) matches(c Connector, got *sharing.RecipientInfo) error {
	want := sharing.AuthenticationTypeDatabricks
	if c.Mode == ModeToken {
		want = sharing.AuthenticationTypeToken
	}
	if got.AuthenticationType == want && (c.Mode == ModeToken || got.DataRecipientGlobalMetastoreId == c.SharingIdentifier) {
		return nil
	}
	return blocked("databricks.recipient_differs", "The recipient "+w.name(c)+" is another one than the connector names; delete the connector, and use another id for the new recipient.",
		"recipient is %s %s", got.AuthenticationType, waybill.Quote(got.DataRecipientGlobalMetastoreId))
}

// settle makes what may change of a token recipient as the connector says.
func (w *Workspace) settle(ctx context.Context, api *apis, c Connector, got *sharing.RecipientInfo) error {
	if c.Mode != ModeToken {
		return nil
	}
	change, needed := sharing.UpdateRecipient{Name: got.Name}, false
	var allowed []string
	if got.IpAccessList != nil {
		allowed = got.IpAccessList.AllowedIpAddresses
	}
	if !slices.Equal(slices.Sorted(slices.Values(allowed)), slices.Sorted(slices.Values(c.AllowedIPs))) {
		change.IpAccessList, needed = &sharing.IpAccessList{AllowedIpAddresses: c.AllowedIPs}, true
	}
	if end, late := tooLate(c, newest(w.tokens(got))); late {
		change.ExpirationTime, needed = end.UnixMilli(), true
	}
	if !needed {
		return nil
	}
	_, err := api.recipients.Update(ctx, change)
	return failure(ctx, need{do: "change recipient " + got.Name, grant: "ownership of the recipient"}, err)
}
