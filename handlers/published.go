package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Published are a connector's published tables, as an operator changes them;
// there is one implementation for each kind of tables. What changes a workflow
// is given its lane, whose fence the destination learns before anything else,
// and holds it while the step is done.
type Published interface {
	// Workflows are those that the customer can read now.
	Workflows(ctx context.Context) ([]string, error)
	// Latest says where a workflow's LATEST points, and where it pointed. It needs no lane.
	Latest(ctx context.Context, workflow string) (Latest, error)
	// Point moves LATEST to a schema version, and pins it there; 0 lets it
	// follow the newest published run again.
	Point(ctx context.Context, lane *ledger.Lane, version int) (Step, error)
	// Unpublish takes a delivery's run from the customer: its rows leave V<n>
	// and LATEST, which follows what is left, and WORKFLOW_RUNS says
	// UNPUBLISHED. The delivery can be published anew, in the same generation.
	Unpublish(ctx context.Context, lane *ledger.Lane, d waybill.Delivery) (Step, error)
	// Narrow takes a workflow from the customer: its tables, and what the
	// tables about workflows say of it. The data is kept.
	Narrow(ctx context.Context, lane *ledger.Lane) (Step, error)
	// Readmit shows again what Narrow took.
	Readmit(ctx context.Context, lane *ledger.Lane) (Step, error)
	// Purge narrows, and erases a workflow's data.
	Purge(ctx context.Context, lane *ledger.Lane) (Step, error)
	// Revoke takes everything from the customer at once. The data is kept.
	Revoke(ctx context.Context) (Step, error)
	// Erase revokes, and erases the connector's data.
	Erase(ctx context.Context) (Step, error)
}

// Step is one change of published tables, looked at and not yet done.
type Step struct {
	// Changes are what Do will do, as the receipt tells it.
	Changes []waybill.TableChange
	// Do does it. It may be cut short anywhere and repeated, by itself or after
	// another look, and shows the customer nothing half-done meanwhile.
	Do func(ctx context.Context) error
}

// Latest is where a workflow's LATEST points, and why.
type Latest struct {
	Workflow  string    `json:"workflow"`
	Version   int       `json:"version"`                   // n of the V<n> that it shows; 0: there is none
	Pinned    bool      `json:"pinned"`                    // it stays there whatever is published
	Newest    int       `json:"newest"`                    // n of the newest published run, 0: none is
	NewestJob string    `json:"newestJob,omitempty"`       // that run's
	NewestAt  time.Time `json:"newestFinishedAt,omitzero"` // when it finished
	Versions  []int     `json:"versions"`                  // that it can be pointed to
	Moves     []Move    `json:"moves"`                     // newest first
}

// Move is one place that LATEST was pointed to.
type Move struct {
	Version int       `json:"version"`
	Pinned  bool      `json:"pinned"`
	At      time.Time `json:"at"`
}

// published opens a connector's published tables.
func (h *Handlers) published(ctx context.Context, c connectors.Connector) (Published, error) {
	switch c.Kind {
	case waybill.KindDatabricks, waybill.KindDeltaSharing:
		return h.deltaPublished(ctx, c)
	default:
		return nil, fmt.Errorf("connector %s is of kind %s: %w", c.ID, c.Kind, errNoTables)
	}
}
