// Package tasks says what work exists: one declaration per task type, with its
// payload, queue, timeout and retry policy. Routes, task ids, retry delays,
// metric labels and the README's table follow from the declarations. It also
// holds the producer's [Client].
//
// A new task type is one declaration here and one file in package handlers.
package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// MaxPayload bounds a payload in bytes. Payloads hold ids only: they are shown
// in queue views and copied into workers' keys.
const MaxPayload = 8 << 10

// RetryPolicy says when a task that failed by a Transient fault is tried again.
type RetryPolicy struct {
	// Delays stand before the first, second, … retry of a round. A retry never
	// starts earlier; the queue's whole seconds may make it up to a second later.
	Delays []time.Duration
	// Replays stand before slow automatic rounds, after a round is used up.
	Replays []time.Duration
}

// Declaration is what the system knows of a task type.
type Declaration struct {
	Name    string          // e.g. "export.push"
	Queue   string          // the asynq queue of live deliveries; historical ones go to [QueueBackfill]
	Timeout time.Duration   // hard cap of one attempt
	Retry   RetryPolicy     //
	Stages  []waybill.Stage // the steps it does, in order
	Starts  []waybill.Kind  // the kinds of connector whose deliveries begin with it
	Ordered bool            // at a connector, one delivery of a workflow at a time
	Every   time.Duration   // it is due at regular times, each of which is a retry of the one before; 0: it is part of a delivery
	Summary string          // one line, for the documentation
}

// Payload is what a task carries: ids, and nothing else.
type Payload interface {
	// Validate refuses a payload that names nothing.
	Validate() error
}

// Type is a declared task type with payload P.
type Type[P Payload] struct{ Declaration }

// Decode reads a payload. Unknown fields are let pass: a newer producer may
// have written them.
func (t Type[P]) Decode(text []byte) (P, error) {
	var p P
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("payload of %s: %w", t.Name, err)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("payload of %s: %w", t.Name, err)
	}
	return p, nil
}

// Encode writes a payload.
func (t Type[P]) Encode(p P) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("payload of %s: %w", t.Name, err)
	}
	text, err := json.Marshal(p)
	if err == nil && len(text) > MaxPayload {
		err = fmt.Errorf("payload of %s has %d bytes; at most %d are allowed", t.Name, len(text), MaxPayload)
	}
	return text, err
}

// DeliveryRef names one delivery's next step.
type DeliveryRef struct {
	Delivery   string `json:"delivery"`
	Generation int    `json:"generation"`
	Enqueue    int    `json:"enqueue"` // counts how often the delivery was handed to the queue
}

// Validate implements [Payload].
func (r DeliveryRef) Validate() error {
	var p waybill.Problems
	if _, err := waybill.DeliverySlot(r.Delivery); err != nil {
		p.Addf("delivery", "%v", err)
	}
	if r.Generation < 1 {
		p.Addf("generation", "%d is not a generation; they count from 1", r.Generation)
	}
	if r.Enqueue < 1 {
		p.Addf("enqueue", "%d is not an enqueue counter; they count from 1", r.Enqueue)
	}
	return p.Err()
}

// ConnectorRef names a connector.
type ConnectorRef struct {
	Connector string `json:"connector"`
}

// Validate implements [Payload].
func (r ConnectorRef) Validate() error {
	var p waybill.Problems
	if !waybill.ValidID(r.Connector) {
		p.Addf("connector", "%s is not a connector's id", waybill.Quote(r.Connector))
	}
	return p.Err()
}

// Queues. Each has workers of its own.
const (
	QueueExport    = "export"
	QueueSnowflake = "snowflake"
	QueueDelta     = "delta"
	QueueActivity  = "activity"
	QueueBackfill  = ledger.Backfill // historical deliveries, whatever their task
)

// ExportPush converts a run and pushes its files to a customer's object store.
var ExportPush = Type[DeliveryRef]{Declaration{
	Name:    "export.push",
	Queue:   QueueExport,
	Timeout: 6 * time.Hour,
	Retry: RetryPolicy{
		Delays:  []time.Duration{time.Second, 2 * time.Second, 4 * time.Second},
		Replays: []time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour},
	},
	Stages:  []waybill.Stage{waybill.StageStage, waybill.StageVerify},
	Starts:  []waybill.Kind{waybill.KindStorage},
	Summary: "convert and upload every format in one pass (stage); read back size, checksum, metadata (verify)",
}}

// exponential is the retry policy of warehouses: so many retries, from 10 s to 10 min.
func exponential(retries int) RetryPolicy {
	var p RetryPolicy
	for delay := 10 * time.Second; len(p.Delays) < retries; delay = min(2*delay, 10*time.Minute) {
		p.Delays = append(p.Delays, delay)
	}
	return p
}

// SnowflakeLoad brings a run into our Snowflake account and hands it on to [SnowflakePublish].
var SnowflakeLoad = Type[DeliveryRef]{Declaration{
	Name:    "snowflake.load",
	Queue:   QueueSnowflake,
	Timeout: time.Hour,
	Retry:   exponential(8),
	Stages:  []waybill.Stage{waybill.StageStage, waybill.StageSchema, waybill.StageLoad},
	Starts:  []waybill.Kind{waybill.KindSnowflake},
	Ordered: true,
	Summary: "Parquet to our ingestion bucket (stage); the table and view of this schema version (schema); " +
		"COPY, validated, then swapped in, not visible yet (load); hands on to `snowflake.publish`",
}}

// SnowflakePublish shows the customer what [SnowflakeLoad] loaded.
var SnowflakePublish = Type[DeliveryRef]{Declaration{
	Name:    "snowflake.publish",
	Queue:   QueueSnowflake,
	Timeout: time.Hour,
	Retry:   exponential(8),
	Stages:  []waybill.Stage{waybill.StageShare, waybill.StageVerify},
	Ordered: true,
	Summary: "views and grants (share); grants and accounts read back, the run shown and counted through its view, then LATEST (verify)",
}}

// DeltaPublish publishes a run in a connector's Delta tables.
var DeltaPublish = Type[DeliveryRef]{Declaration{
	Name:    "delta.publish",
	Queue:   QueueDelta,
	Timeout: time.Hour,
	Retry:   exponential(8),
	Stages:  waybill.Stages(),
	Starts:  []waybill.Kind{waybill.KindDatabricks, waybill.KindDeltaSharing},
	Ordered: true,
	Summary: "Parquet beside the table (stage); the table of this schema version (schema); commit, validated (load); " +
		"share updated (share); share read back, then LATEST, WORKFLOW_RUNS last (verify)",
}}

// ActivitySync brings a connector's activity log up to date.
var ActivitySync = Type[ConnectorRef]{Declaration{
	Name:    "activity.sync",
	Queue:   QueueActivity,
	Timeout: time.Hour,
	Every:   time.Minute,
	Stages:  waybill.Stages(),
	Summary: "events since the cursor (stage); ACTIVITY_LOG made (schema), shown and read back (share); rows written (load); " +
		"then the cursor moves (verify)",
}}

// BackfillRef names one backfill of a connector.
type BackfillRef struct {
	Connector string `json:"connector"`
	Number    int    `json:"number"` // of the connector's backfills, from 1
}

// Validate implements [Payload].
func (r BackfillRef) Validate() error {
	var p waybill.Problems
	if !waybill.ValidID(r.Connector) {
		p.Addf("connector", "%s is not a connector's id", waybill.Quote(r.Connector))
	}
	if r.Number < 1 {
		p.Addf("number", "%d is not the number of a backfill; they count from 1", r.Number)
	}
	return p.Err()
}

// BackfillChunk turns windows of historical runs into deliveries.
var BackfillChunk = Type[BackfillRef]{Declaration{
	Name:    "backfill.chunk",
	Queue:   QueueBackfill,
	Timeout: time.Hour,
	Retry:   exponential(10),
	Stages:  []waybill.Stage{waybill.StageStage},
	Summary: "list the runs of the past, oldest first; then a window of them after the other becomes deliveries (stage)",
}}

// All lists the declarations.
func All() []Declaration {
	return []Declaration{ExportPush.Declaration, SnowflakeLoad.Declaration, SnowflakePublish.Declaration, DeltaPublish.Declaration,
		ActivitySync.Declaration, BackfillChunk.Declaration}
}

// Lookup returns the declaration of a task type.
func Lookup(name string) (Declaration, bool) {
	i := slices.IndexFunc(All(), func(d Declaration) bool { return d.Name == name })
	if i < 0 {
		return Declaration{}, false
	}
	return All()[i], true
}

// Starting returns the task that a delivery to a kind of connector begins with.
func Starting(kind waybill.Kind) (Declaration, bool) {
	for _, d := range All() {
		if slices.Contains(d.Starts, kind) {
			return d, true
		}
	}
	return Declaration{}, false
}

// QueueNames lists the queues.
func QueueNames() []string {
	names := []string{QueueBackfill}
	for _, d := range All() {
		names = append(names, d.Queue)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Route binds a task type to the function that does it.
type Route struct {
	Declaration
	Run func(ctx context.Context, payload []byte) error
}

// Handle makes a route of a handler.
func Handle[P Payload](t Type[P], handler func(context.Context, P) error) Route {
	return Route{Declaration: t.Declaration, Run: func(ctx context.Context, text []byte) error {
		p, err := t.Decode(text)
		if err != nil {
			return &PayloadError{Err: err}
		}
		return handler(ctx, p)
	}}
}

// PayloadError is a payload that this version cannot read. A newer one may, so
// the task is left for it.
type PayloadError struct{ Err error }

func (e *PayloadError) Error() string { return e.Err.Error() }
func (e *PayloadError) Unwrap() error { return e.Err }
