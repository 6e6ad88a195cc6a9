package handlers

import (
	"context"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// SnowflakePublish shows a customer the run that [Handlers.SnowflakeLoad]
// loaded: its view is granted, the share is read back, the run's rows and its
// row in WORKFLOW_RUNS appear at once, and LATEST follows.
func (h *Handlers) SnowflakePublish(ctx context.Context, ref tasks.DeliveryRef) (err error) {
	a, err := h.begin(ctx, tasks.SnowflakePublish.Declaration, ref)
	if err != nil {
		return err
	}
	defer a.close(&err)
	ctx = snowflake.WithTag(a.Context(), a.Delivery.ID)

	s, err := h.shipment(ctx, a)
	if err != nil {
		return at(waybill.StageShare, err)
	}
	shipped, err := once(ctx, a, waybill.StageStage, notShipped)
	if err != nil {
		return err
	}
	s.run.Conversion = shipped.Conversion
	if _, err := once(ctx, a, waybill.StageShare, s.share); err != nil {
		return err
	}
	receipt, err := once(ctx, a, waybill.StageVerify, func(ctx context.Context) (waybill.Receipt, error) { return s.verify(ctx, shipped) })
	if err != nil {
		return err
	}
	if err := a.complete(ctx, receipt); err != nil {
		return err
	}
	s.sweep(ctx)
	return nil
}

// notShipped stands where the step was done before the delivery was handed on.
func notShipped(context.Context) (shipped, error) {
	return shipped{}, waybill.Failf(waybill.Permanent, "internal.not_loaded", "This is a fault of Waybill; hand the run in again with replace: true.", "nothing is recorded of what was loaded")
}

// share grants the view of the schema version, and what somebody revoked.
func (s *shipment) share(ctx context.Context) (struct{}, error) {
	return working(func(ctx context.Context) (struct{}, error) { return struct{}{}, s.dest.Share(ctx, s.run) })(ctx)
}

// verify reads the share back, then shows the run and counts it through its view.
func (s *shipment) verify(ctx context.Context, from shipped) (waybill.Receipt, error) {
	published, err := working(func(ctx context.Context) (snowflake.Published, error) {
		return s.dest.Publish(ctx, s.run, s.dest.Setup.Route)
	})(ctx)
	if err != nil {
		return waybill.Receipt{}, err
	}
	s.log.Info("published", "view", published.View, "rows", published.Rows, "latest", published.Latest.Shows, "moved", published.Moved)
	receipt := waybill.Receipt{Location: viewURL(s.dest.Setup, published.View), SourceETag: from.SourceETag,
		Rows: published.Rows, Files: from.Files, Conversion: from.Conversion}
	for _, f := range from.Files {
		receipt.Bytes += f.Bytes
	}
	return receipt, nil
}

// viewURL names a view for a person: snowflake://OURORG.PROVIDER/KADOA_ACME/SHARED/WF_MOVIES__V1.
func viewURL(s snowflake.Setup, view string) string {
	return fmt.Sprintf("snowflake://%s/%s/%s/%s", s.Provider, s.Share, s.Schema, view)
}

// sweep removes what nobody needs any more. It comes after the receipt, and
// what goes wrong is the next one's to do.
func (s *shipment) sweep(ctx context.Context) {
	swept, err := s.dest.Sweep(ctx, s.run.Lane)
	if err != nil {
		s.log.Warn("tables could not be swept; the next run does it", "error", err)
	}
	if len(swept.Tables)+len(swept.Loads) > 0 {
		s.log.Info("swept", "tables", swept.Tables, "loads", swept.Loads, "rows", swept.Rows)
	}
}
