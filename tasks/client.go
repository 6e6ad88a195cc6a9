package tasks

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Client is how a producer written in Go hands in finished runs.
type Client struct{ ledger *ledger.Ledger }

// ClientOption changes how a client hands in runs.
type ClientOption func(*ledger.Options)

// WithReplicas makes n of Redis's replicas confirm a run before it counts as
// handed in; [NoReplicas]: none. Without it, and with 0, one does where Redis is
// a Cluster, is behind Sentinels, or has a replica.
func WithReplicas(n int) ClientOption {
	return func(o *ledger.Options) { o.Replicas = n }
}

// NoReplicas waits for none.
const NoReplicas = ledger.NoReplicas

// NewClient returns a client on the fleet's Redis.
func NewClient(rdb redis.UniversalClient, options ...ClientOption) *Client {
	var o ledger.Options
	for _, option := range options {
		option(&o)
	}
	return &Client{ledger: ledger.New(rdb, nil, nil, o)}
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
// say replace; an error that matches [waybill.ErrUnavailable] is a
// [*waybill.Failure] whose Action says what Redis lacks just now: memory, or
// replicas that have the run; anything else is Redis out of reach. The last two
// are worth a retry, which is safe: the run counts as handed in only when
// Submit says so.
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
