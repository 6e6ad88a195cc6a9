package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

// A session of who looks at the pages is in Redis, where every scheduler sees
// it, and nowhere else: who has lost it logs in again.
func sessionKey(id string) string { return "wb:{sessions}:" + id }

// KeepSession keeps what belongs to a session until its lifetime is over. The
// id is not what its holder shows, but a hash of it.
func (l *Ledger) KeepSession(ctx context.Context, id string, doc json.RawMessage, lifetime time.Duration) error {
	if err := l.rdb.Set(ctx, sessionKey(id), []byte(doc), lifetime).Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// Session returns what was kept of a session, or an error that matches [waybill.ErrNotFound].
func (l *Ledger) Session(ctx context.Context, id string) (json.RawMessage, error) {
	doc, err := l.rdb.Get(ctx, sessionKey(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("session: %w", waybill.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return doc, nil
}

// EndSession forgets a session.
func (l *Ledger) EndSession(ctx context.Context, id string) error {
	if err := l.rdb.Del(ctx, sessionKey(id)).Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}
