package databricks

import (
	"context"
	"strings"

	"github.com/databricks/databricks-sdk-go/service/sharing"
)

// Limit is how much of a limit of the vendor's is used.
// https://docs.databricks.com/resources/limits.html
type Limit struct {
	Name      string
	Used, Max int
}

// The vendor's limits.
const (
	maxShares       = 1000 // a metastore
	maxRecipients   = 5000 // a metastore
	maxShareTables  = 1000
	maxShareSchemas = 500
)

// Near reports whether an operator should hear of it: at 80 %.
func (l Limit) Near() bool { return l.Used*100 >= l.Max*80 }

// Limits returns the use of the metastore's limits.
func (w *Workspace) Limits(ctx context.Context) ([]Limit, error) {
	api, err := w.api(ctx)
	if err != nil {
		return nil, err
	}
	shares, err := api.shares.ListSharesAll(ctx, sharing.SharesListRequest{})
	if err != nil {
		return nil, failure(ctx, need{do: "count shares", grant: "USE SHARE on the metastore"}, err)
	}
	recipients, err := api.recipients.ListAll(ctx, sharing.ListRecipientsRequest{})
	if err != nil {
		return nil, failure(ctx, need{do: "count recipients", grant: "USE RECIPIENT on the metastore"}, err)
	}
	return []Limit{{"shares", len(shares), maxShares}, {"recipients", len(recipients), maxRecipients}}, nil
}

// ShareLimits returns the use of the limits of the connector's share.
func (w *Workspace) ShareLimits(ctx context.Context, c Connector) ([]Limit, error) {
	api, err := w.api(ctx)
	if err != nil {
		return nil, err
	}
	share, err := w.shareThere(ctx, api, c)
	if err != nil {
		return nil, err
	}
	schemas := map[string]bool{}
	for _, o := range share.Objects {
		schema, _, _ := strings.Cut(strings.ToLower(o.SharedAs), ".")
		schemas[schema] = true
	}
	return []Limit{{"tables of share " + share.Name, len(share.Objects), maxShareTables}, {"schemas of share " + share.Name, len(schemas), maxShareSchemas}}, nil
}
