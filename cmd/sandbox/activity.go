package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/fakes/platform"
)

// looksEvery is how often activity logs are held against the platform's.
const looksEvery = time.Second

// watchActivity holds each of a team's ACTIVITY_LOGs against the platform's log,
// again and again, while that goes on telling: until all of them have what
// happened during so long a time. A log must have everything until its
// cursor, and nothing that the platform did not tell, as often as it did.
func (s *sandbox) watchActivity(ctx context.Context, w io.Writer, team string, during time.Duration) error {
	var logs []connectors.Connector
	for _, c := range s.connectors(team, 1) {
		if c.LogsActivity() {
			logs = append(logs, c)
		}
	}
	from := time.Now()
	looks, last := map[string]int{}, map[string]int{}
	for behind := logs; len(behind) > 0; {
		behind = nil
		for _, c := range logs {
			until, n, err := s.lookAtActivity(ctx, c)
			if err != nil {
				return err
			}
			looks[c.ID]++
			last[c.ID] = n
			if during > 0 && until.Before(from.Add(during)) {
				behind = append(behind, c)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(looksEvery):
		}
	}
	fmt.Fprintf(w, "\nThe activity log, held against the platform's while that told of something each second for %s:\n", during)
	for _, c := range logs {
		fmt.Fprintf(w, "  ACTIVITY_LOG of %s: %d events; looked at %d times, each time row for row what the platform told\n", c.ID, last[c.ID], looks[c.ID])
	}
	return nil
}

// lookAtActivity compares one log with the platform's. It returns until when
// the log has everything, and how many events it has.
func (s *sandbox) lookAtActivity(ctx context.Context, c connectors.Connector) (until time.Time, n int, err error) {
	cursor, err := s.Ledger.ActivityCursor(ctx, c.ID)
	if err != nil {
		return until, 0, err
	}
	if f := cursor.Failure; f != nil {
		return until, 0, fmt.Errorf("activity of %s: %s: %s %s", c.ID, f.Stage, f.Code, f.Action)
	}
	got, err := s.activityOf(ctx, c)
	if err != nil {
		return until, 0, fmt.Errorf("ACTIVITY_LOG of %s: %w", c.ID, err)
	}
	workflows, err := s.Ledger.Workflows(ctx, c.Team)
	if err != nil {
		return until, 0, err
	}
	told, settled := s.platform.Lines(began, workflows...), s.platform.LinesUntil(began, cursor.Until, workflows...)
	if more, less := platform.Without(got, told), platform.Without(settled, got); len(more)+len(less) > 0 {
		return until, 0, fmt.Errorf("ACTIVITY_LOG of %s is not the platform's; too much is\n%s\nmissing is\n%s", c.ID, strings.Join(more, "\n"), strings.Join(less, "\n"))
	}
	return cursor.Until, len(got), nil
}

// activityOf reads a connector's ACTIVITY_LOG, as its customer does.
func (s *sandbox) activityOf(ctx context.Context, c connectors.Connector) ([]string, error) {
	if c.Kind == waybill.KindSnowflake {
		return s.warehouse.activity(ctx, c.ID)
	}
	rows, err := s.rows(ctx, c, waybill.TableActivity)
	plain := make([]map[string]any, len(rows))
	for i, row := range rows {
		plain[i] = row
	}
	return platform.Lines(plain), err
}

func (w *warehouse) activity(ctx context.Context, connector string) (lines []string, err error) {
	db := w.open(connector)
	defer db.Close()
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT * FROM %s.%s", importedSchema, waybill.TableActivity))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []map[string]any
	for rows.Next() {
		var at sql.NullTime
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		when := slices.Index(columns, "OCCURRED_AT")
		into[when] = &at
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		row := map[string]any{}
		for i, cell := range cells {
			if cell.Valid {
				row[columns[i]] = cell.String
			}
		}
		row["OCCURRED_AT"] = at.Time
		all = append(all, row)
	}
	return platform.Lines(all), rows.Err()
}
