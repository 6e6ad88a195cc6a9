package ledger

import (
	"context"
	"fmt"
	"time"
)

// statementKept is how long a statement under way is remembered: longer than
// a delivery's attempt, after which it is handed in anew.
const statementKept = 24 * time.Hour

func statementKey(key string) string { return "wb:{docs}:statement:" + key }

// Statement returns the id of the warehouse statement that is under way for
// what key names, or nothing.
func (l *Ledger) Statement(ctx context.Context, key string) (string, error) {
	id, err := l.rdb.Get(ctx, statementKey(key)).Result()
	if ignoreNil(err) != nil {
		return "", fmt.Errorf("ledger: %w", err)
	}
	return id, nil
}

// KeepStatement remembers it; an empty id forgets.
func (l *Ledger) KeepStatement(ctx context.Context, key, id string) error {
	var err error
	if id == "" {
		err = l.rdb.Del(ctx, statementKey(key)).Err()
	} else {
		err = l.rdb.Set(ctx, statementKey(key), id, statementKept).Err()
	}
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
