package tasks

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

// Client is how a producer written in Go hands in finished runs.
type Client struct{ ledger *ledger.Ledger }

// NewClient returns a client on the fleet's Redis and its own bucket, where a
// schema that was not seen before gets its version.
func NewClient(rdb redis.UniversalClient, bucket storage.Store) *Client {
	return &Client{ledger: ledger.New(rdb, bucket, nil, ledger.Options{})}
}

// Submission is the answer to a run that was taken in.
type Submission struct {
	Outcome       string `json:"outcome"`       // NEW, SAME (handed in before: nothing changes) or REPLACED
	Revision      string `json:"revision"`      // of the run
	Generation    int    `json:"generation"`    // 1, and one more for each replacement
	SchemaVersion int    `json:"schemaVersion"` // n of the run's V<n>
}

// Submit hands in a finished run. When it returns without an error, the run is
// durable in the ledger and will be delivered once to each connector of its
// team that wants it. Handing the same run in again is a success.
//
// Errors: [waybill.Problems] names every field at fault; [*RunConflict] means
// that the job was handed in before with other content and the run does not
// say replace; anything else is worth a retry.
func (c *Client) Submit(ctx context.Context, run waybill.Run) (Submission, error) {
	a, err := c.ledger.Accept(ctx, run)
	if err != nil {
		return Submission{}, err
	}
	// Should nobody hear it, the scheduler's sweep finds the run.
	_ = c.ledger.Wake(ctx)
	return Submission{Outcome: string(a.Outcome), Revision: a.Revision, Generation: a.Generation, SchemaVersion: a.SchemaVersion}, nil
}

// RunConflict refuses a run whose job was handed in before with other content;
// its Fields name what differs.
type RunConflict = ledger.ConflictError
