package snowflake

import (
	"context"
	"time"
)

// Activity is one event of the activity log, as the customer sees it.
type Activity struct {
	EventID      string // unique within the connector
	OccurredAt   time.Time
	Title        string
	Source       string
	UserID       string
	UserEmail    string
	ResourceType string
	WorkflowID   string
	ResourceID   string
	ResourceName string
	Details      string // JSON text, or empty
}

// values are in the order of the table's columns. What is empty is NULL.
func (a Activity) values() []any {
	values := []any{a.EventID, a.OccurredAt.UTC().Format("2006-01-02 15:04:05.000000")}
	for _, text := range []string{a.Title, a.Source, a.UserID, a.UserEmail, a.ResourceType, a.WorkflowID, a.ResourceID, a.ResourceName, a.Details} {
		if text == "" {
			values = append(values, nil)
		} else {
			values = append(values, text)
		}
	}
	return values
}

// activityBatch keeps a statement below the vendor's limit of 16,384
// expressions, and small.
const activityBatch = 500

// MergeActivity adds events to ACTIVITY_LOG. An event that is there already,
// by its EventID, is left as it is: writing twice is writing once. It returns
// how many were not.
func (d *Destination) MergeActivity(ctx context.Context, events []Activity) (added int64, err error) {
	seen := make(map[string]bool, len(events))
	var batch []Activity
	for i, e := range events {
		if !seen[e.EventID] { // MERGE would insert both of two equal ones
			seen[e.EventID] = true
			batch = append(batch, e)
		}
		if len(batch) == activityBatch || i == len(events)-1 && len(batch) > 0 {
			n, err := d.mergeActivity(ctx, batch)
			if err != nil {
				return added, err
			}
			added, batch = added+n, nil
		}
	}
	return added, nil
}

func (d *Destination) mergeActivity(ctx context.Context, batch []Activity) (int64, error) {
	var binds []any
	for _, e := range batch {
		binds = append(binds, e.values()...)
	}
	out, err := d.sendText(ctx, "activity_merge", d.statement("activity_merge", args{"Rows": batch}), binds...)
	if err != nil {
		return 0, err
	}
	return out.number("activity_merge")
}

// DeleteActivity takes the events of a workflow out of ACTIVITY_LOG.
func (d *Destination) DeleteActivity(ctx context.Context, workflowID string) error {
	_, err := d.send(ctx, "activity_delete", args{"Workflow": workflowID})
	return err
}
