package databricks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/sharing"

	"github.com/waybillhq/waybill"
)

// maxUpdates of a share in one call: https://docs.databricks.com/api/workspace/shares/update
const maxUpdates = 100

// Share shows registered tables to the customer, with their history, under
// names that never change. What is shared already stays as it is.
func (w *Workspace) Share(ctx context.Context, c Connector, tables []string) error {
	return w.update(ctx, c, func(objects []sharing.SharedDataObject) []sharing.SharedDataObjectUpdate {
		var updates []sharing.SharedDataObjectUpdate
		for _, t := range tables {
			want := w.object(c, t)
			switch got := find(objects, want.Name); {
			case got == nil:
				updates = append(updates, sharing.SharedDataObjectUpdate{Action: sharing.SharedDataObjectUpdateActionAdd, DataObject: &want})
			case got.HistoryDataSharingStatus != want.HistoryDataSharingStatus:
				want.SharedAs = got.SharedAs // cannot change; Verify looks at it
				updates = append(updates, sharing.SharedDataObjectUpdate{Action: sharing.SharedDataObjectUpdateActionUpdate, DataObject: &want})
			}
		}
		return updates
	})
}

// Unshare takes tables back from the customer. They stay registered.
func (w *Workspace) Unshare(ctx context.Context, c Connector, tables []string) error {
	return w.update(ctx, c, func(objects []sharing.SharedDataObject) []sharing.SharedDataObjectUpdate {
		var updates []sharing.SharedDataObjectUpdate
		for _, t := range tables {
			if got := find(objects, w.full(c, t)); got != nil {
				updates = append(updates, sharing.SharedDataObjectUpdate{Action: sharing.SharedDataObjectUpdateActionRemove,
					DataObject: &sharing.SharedDataObject{Name: got.Name, DataObjectType: got.DataObjectType}})
			}
		}
		return updates
	})
}

// update brings the share where plan wants it. Other workers update the same
// share at the same time: after a conflict it is looked at once more.
func (w *Workspace) update(ctx context.Context, c Connector, plan func([]sharing.SharedDataObject) []sharing.SharedDataObjectUpdate) error {
	api, err := w.api(ctx)
	if err != nil {
		return err
	}
	for again := true; ; again = false {
		share, err := w.shareThere(ctx, api, c)
		if err != nil {
			return err
		}
		err = w.send(ctx, api, c, plan(share.Objects))
		if again && (taken(err) || missing(err)) {
			continue
		}
		return failure(ctx, need{do: "update share " + w.name(c), grant: "ownership of the share, and USE CATALOG, USE SCHEMA and SELECT on what it shows", thing: "A table of share " + w.name(c)}, err)
	}
}

func (w *Workspace) send(ctx context.Context, api *apis, c Connector, updates []sharing.SharedDataObjectUpdate) error {
	for batch := range slices.Chunk(updates, maxUpdates) {
		if _, err := api.shares.Update(ctx, sharing.UpdateShare{Name: w.name(c), Updates: batch}); err != nil {
			return err
		}
	}
	return nil
}

func (w *Workspace) shareGone(c Connector) error {
	return blocked("databricks.share_gone", "Somebody removed the share "+w.name(c)+", so that the customer reads nothing; "+
		"resume the connector if the customer shall read again, or delete it.", "share %s does not exist", w.name(c))
}

// object is how a table stands in the share.
func (w *Workspace) object(c Connector, table string) sharing.SharedDataObject {
	return sharing.SharedDataObject{Name: w.full(c, table), DataObjectType: sharing.SharedDataObjectDataObjectTypeTable,
		SharedAs: alias(c) + "." + table, HistoryDataSharingStatus: sharing.SharedDataObjectHistoryDataSharingStatusEnabled}
}

func find(objects []sharing.SharedDataObject, name string) *sharing.SharedDataObject {
	i := slices.IndexFunc(objects, func(o sharing.SharedDataObject) bool { return strings.EqualFold(o.Name, name) })
	if i < 0 {
		return nil
	}
	return &objects[i]
}

// Verify reads back what the customer sees, and returns the names of the tables
// in the share, as the customer knows them. It fails unless the share holds
// tables, all of it public tables of the connector, each active under its name
// with its history, and unless the connector's recipient, and nobody else, may
// read it.
func (w *Workspace) Verify(ctx context.Context, c Connector, tables []string) ([]string, error) {
	api, err := w.api(ctx)
	if err != nil {
		return nil, err
	}
	share, err := w.shareThere(ctx, api, c)
	if err != nil {
		return nil, err
	}
	seen := make([]string, 0, len(share.Objects))
	for _, o := range share.Objects {
		if err := w.proper(c, o); err != nil {
			return nil, err
		}
		seen = append(seen, o.SharedAs)
	}
	for _, t := range tables {
		if find(share.Objects, w.full(c, t)) == nil {
			return nil, &waybill.Failure{Verdict: waybill.Transient, Code: "databricks.share_incomplete", Err: fmt.Errorf("share %s lacks %s", share.Name, t),
				Action: "A table is not in the share yet; the step is repeated by itself."}
		}
	}
	return seen, w.verifyReader(ctx, api, c)
}

// proper refuses an object that should not be in the share, or not so.
func (w *Workspace) proper(c Connector, o sharing.SharedDataObject) error {
	table, ours := strings.CutPrefix(strings.ToLower(o.Name), strings.ToLower(w.schema(c))+".")
	want := w.object(c, table)
	switch {
	case !ours || !public.MatchString(table) || o.DataObjectType != want.DataObjectType:
		return blocked("databricks.foreign_object", "The share "+w.name(c)+" holds something that is no public table of the connector; remove that from the share.", "share %s holds %s %s", w.name(c), o.DataObjectType, o.Name)
	case !strings.EqualFold(o.SharedAs, want.SharedAs):
		return blocked("databricks.shared_as", "A table is in the share "+w.name(c)+" under another name than it should be; remove it from the share, and Waybill adds it again.", "%s is shared as %s", o.Name, o.SharedAs)
	case o.Status != sharing.SharedDataObjectStatusActive:
		return blocked("databricks.share_inactive", "The owner of share "+w.name(c)+" may not read a table of it (any more); grant the owner USE CATALOG, USE SCHEMA and SELECT on it.", "%s is %s", o.Name, o.Status)
	case o.HistoryDataSharingStatus != want.HistoryDataSharingStatus:
		return &waybill.Failure{Verdict: waybill.Transient, Code: "databricks.share_incomplete", Err: fmt.Errorf("%s has history %s", o.Name, o.HistoryDataSharingStatus),
			Action: "A table is in the share without its history; the step is repeated by itself."}
	}
	return nil
}

func (w *Workspace) verifyReader(ctx context.Context, api *apis, c Connector) error {
	got, err := w.recipient(ctx, api, c)
	switch {
	case err != nil:
		return err
	case got == nil:
		return w.recipientGone(c)
	}
	if err := w.matches(c, got); err != nil {
		return err
	}
	readers, err := w.readers(ctx, api, c)
	if err != nil {
		return err
	}
	if others := slices.DeleteFunc(slices.Clone(readers), func(r string) bool { return r == w.name(c) }); len(others) > 0 {
		return blocked("databricks.foreign_reader", "Others than the customer may read share "+w.name(c)+"; revoke their SELECT on it.", "share %s is readable for %q", w.name(c), others)
	}
	if len(readers) == 0 {
		return blocked("databricks.grant_gone", "Somebody revoked the customer's SELECT on share "+w.name(c)+"; resume the connector if the customer shall read again, or delete it.", "nobody may read share %s", w.name(c))
	}
	return nil
}
