package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// Connectors live under a hash tag of their own: they are asked for by id,
// and an id is never used again, by no team.
const (
	connectorTeams   = "wb:{cn}:team"    // HASH id → team
	connectorDocs    = "wb:{cn}:docs:"   // + team: HASH id → document
	connectorDeleted = "wb:{cn}:deleted" // SET of ids
)

var connectorPutScript = load("connector_put")

// PutConnector keeps a connector's document in the place of the one that the
// caller read (nil: none). It returns [waybill.ErrIDUsed], or
// [waybill.ErrChanged] if another stands there now.
func (l *Ledger) PutConnector(ctx context.Context, id, team string, was, doc []byte) error {
	n, err := connectorPutScript.Run(ctx, l.rdb, []string{connectorTeams, connectorDocs + team, connectorDeleted}, id, team, doc, was).Int()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	switch n {
	case 0:
		return fmt.Errorf("connector %s: %w", id, waybill.ErrIDUsed)
	case 2:
		return fmt.Errorf("connector %s: %w", id, waybill.ErrChanged)
	}
	return nil
}

// Connector returns a connector's document, or [waybill.ErrNotFound].
func (l *Ledger) Connector(ctx context.Context, id string) ([]byte, error) {
	team, err := l.rdb.HGet(ctx, connectorTeams, id).Result()
	if ignoreNil(err) != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	doc, err := l.rdb.HGet(ctx, connectorDocs+team, id).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("connector %s: %w", id, waybill.ErrNotFound)
	}
	return doc, ignoreNil(err)
}

// Connectors returns a team's connectors by id, or, for team "", everybody's.
func (l *Ledger) Connectors(ctx context.Context, team string) ([][]byte, error) {
	teams := []string{team}
	if team == "" {
		owners, err := l.rdb.HGetAll(ctx, connectorTeams).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		teams = slices.Compact(slices.Sorted(maps.Values(owners)))
	}
	docs := map[string]string{}
	for _, t := range teams {
		own, err := l.rdb.HGetAll(ctx, connectorDocs+t).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		maps.Copy(docs, own)
	}
	list := make([][]byte, 0, len(docs))
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		list = append(list, []byte(docs[id]))
	}
	return list, nil
}

// DeleteConnector forgets a connector, and cancels what was on its way to it;
// its id stays used.
func (l *Ledger) DeleteConnector(ctx context.Context, id string) error {
	team, err := l.rdb.HGet(ctx, connectorTeams, id).Result()
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("connector %s: %w", id, waybill.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	var removed *redis.IntCmd
	_, err = l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.SAdd(ctx, connectorDeleted, id)
		removed = p.HDel(ctx, connectorDocs+team, id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := l.cancelAll(ctx, team, id); err != nil {
		return err
	}
	if removed.Val() == 0 {
		return fmt.Errorf("connector %s: %w", id, waybill.ErrNotFound)
	}
	return nil
}

// cancelAll cancels every delivery to a connector that is not complete.
func (l *Ledger) cancelAll(ctx context.Context, team, connector string) error {
	f := Filter{Team: team, Connector: connector}
	for {
		page, err := l.List(ctx, f)
		if err != nil {
			return err
		}
		for _, d := range page.Deliveries {
			if d.State == waybill.StateComplete {
				continue
			}
			r, err := l.run(ctx, cancelScript, prefix(waybill.Slot(team)), d.ID, "connector deleted")
			if err != nil {
				return err
			}
			l.admit(ctx, r.turns(1))
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return nil
		}
	}
}
