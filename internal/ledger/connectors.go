package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/waybillhq/waybill"
)

// Connectors are documents, listed by their team. An id is never used again,
// by no team: the object of a deleted one stays in our bucket and says so.
const connectorKind = "connectors"

func (l *Ledger) connectors() documents { return documents{l, connectorKind} }

// PutConnector keeps a connector's document in the place of the one that the
// caller read (nil: none). It returns [waybill.ErrIDUsed], or
// [waybill.ErrChanged] if another stands there now.
func (l *Ledger) PutConnector(ctx context.Context, id, team string, was, doc []byte) error {
	k := l.connectors()
	there, etag, err := k.look(ctx, id)
	if err != nil {
		return fmt.Errorf("connector %s: %w", id, err)
	}
	if there.Revision > 0 {
		if err := k.keep(ctx, id, there); err != nil {
			return err
		}
		if there.Deleted || there.Group != team {
			return fmt.Errorf("connector %s: %w", id, waybill.ErrIDUsed)
		}
		if text, err := there.text(); err != nil || !bytes.Equal(text, was) {
			return fmt.Errorf("connector %s: %w", id, cmp.Or(err, waybill.ErrChanged))
		}
	}
	if err := k.change(ctx, id, etag, there.Revision, document{Group: team, Doc: doc}); err != nil {
		return fmt.Errorf("connector %s: %w", id, err)
	}
	return nil
}

// Connector returns a connector's document, or [waybill.ErrNotFound].
func (l *Ledger) Connector(ctx context.Context, id string) ([]byte, error) {
	doc, err := l.connectors().get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("connector %s: %w", id, err)
	}
	return doc, nil
}

// Connectors returns a team's connectors by id, or, for team "", everybody's.
func (l *Ledger) Connectors(ctx context.Context, team string) ([][]byte, error) {
	k := l.connectors()
	teams := []string{team}
	if team == "" {
		owners, err := l.rdb.HGetAll(ctx, k.groups()).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		teams = slices.Compact(slices.Sorted(maps.Values(owners)))
	}
	docs := map[string]string{}
	for _, t := range teams {
		own, err := l.rdb.HGetAll(ctx, k.members(t)).Result()
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
	k := l.connectors()
	for {
		was, etag, err := k.look(ctx, id)
		switch {
		case err != nil:
			return fmt.Errorf("connector %s: %w", id, err)
		case was.Revision == 0:
			return fmt.Errorf("connector %s: %w", id, waybill.ErrNotFound)
		case was.Deleted:
			return errors.Join(fmt.Errorf("connector %s: %w", id, waybill.ErrNotFound), k.keep(ctx, id, was), l.dismiss(ctx, was.Group, id))
		}
		err = k.change(ctx, id, etag, was.Revision, document{Group: was.Group, Deleted: true})
		switch {
		case err == nil:
			return l.dismiss(ctx, was.Group, id)
		case !errors.Is(err, waybill.ErrChanged): // somebody changed it at the same moment: once more, after them
			return err
		}
	}
}

// dismiss has a deleted connector counted no more, and cancels what is on its way to it.
func (l *Ledger) dismiss(ctx context.Context, team, connector string) error {
	if err := l.rdb.HSet(ctx, prefix(waybill.Slot(team))+"cn:"+connector, "deleted", 1).Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return l.CancelAll(ctx, Filter{Team: team, Connector: connector}, "connector deleted")
}

// CancelAll cancels every delivery that a filter selects and that was not delivered.
func (l *Ledger) CancelAll(ctx context.Context, f Filter, why string) error {
	for {
		page, err := l.List(ctx, f)
		if err != nil {
			return err
		}
		for _, d := range page.Deliveries {
			if d.State == waybill.StateComplete || d.State == waybill.StateUnpublished {
				continue
			}
			err := l.Cancel(ctx, d.ID, why)
			if _, moved := errors.AsType[*StateError](err); err != nil && !moved {
				return err
			}
		}
		if f.Cursor = page.Cursor; f.Cursor == "" {
			return nil
		}
	}
}
