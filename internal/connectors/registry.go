package connectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
)

// What a [Backend] answers, under the names that it is asked by here.
var (
	ErrNotFound = waybill.ErrNotFound
	ErrIDUsed   = waybill.ErrIDUsed
)

// Backend keeps connectors as documents. The ledger is one.
type Backend interface {
	// PutConnector keeps doc under id, replacing what the same team kept there.
	// It returns ErrIDUsed where id is another team's or was deleted.
	PutConnector(ctx context.Context, id, team string, doc []byte) error
	// Connector returns the document of id, or ErrNotFound.
	Connector(ctx context.Context, id string) ([]byte, error)
	// Connectors returns the documents of a team; of all if team is empty.
	Connectors(ctx context.Context, team string) ([][]byte, error)
	// DeleteConnector removes id and remembers that it was used, or returns ErrNotFound.
	DeleteConnector(ctx context.Context, id string) error
}

// Change is what an Apply did.
type Change string

// The changes.
const (
	Created   Change = "created"
	Changed   Change = "changed"
	Unchanged Change = "unchanged"
)

// Registry is the fleet's connectors.
type Registry struct {
	backend Backend
	rules   Rules
	now     func() time.Time
}

// NewRegistry returns the registry that backend keeps.
func NewRegistry(backend Backend, rules Rules) *Registry {
	return &Registry{backend: backend, rules: rules, now: time.Now}
}

// Get returns a connector, or an error that matches [ErrNotFound].
func (r *Registry) Get(ctx context.Context, id string) (Connector, error) {
	doc, err := r.backend.Connector(ctx, id)
	if err != nil {
		return Connector{}, fmt.Errorf("connector %s: %w", quoteShort(id), err)
	}
	return Decode(doc)
}

// List returns a team's connectors by id; everybody's if team is empty.
func (r *Registry) List(ctx context.Context, team string) ([]Connector, error) {
	docs, err := r.backend.Connectors(ctx, team)
	if err != nil {
		return nil, fmt.Errorf("list connectors: %w", err)
	}
	list := make([]Connector, 0, len(docs))
	for _, doc := range docs {
		c, err := Decode(doc)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Connector) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Apply makes the registry hold c. It returns [waybill.Problems] where c is
// wrong or changes what cannot change, and an error that matches [ErrIDUsed]
// where its id was another's.
func (r *Registry) Apply(ctx context.Context, c Connector) (Change, error) {
	if err := r.rules.Validate(c).Err(); err != nil {
		return "", err
	}
	old, err := r.Get(ctx, c.ID)
	change := Changed
	switch {
	case errors.Is(err, ErrNotFound):
		change, c.CreatedAt = Created, r.now().UTC().Truncate(time.Second)
	case err != nil:
		return "", err
	default:
		if err := fixed(old, c).Err(); err != nil {
			return "", err
		}
		c.CreatedAt = old.CreatedAt
	}
	return r.put(ctx, change, old, c)
}

func (r *Registry) put(ctx context.Context, change Change, old, c Connector) (Change, error) {
	doc, err := c.Encode()
	if err != nil {
		return "", err
	}
	if before, err := old.Encode(); err == nil && change == Changed && string(before) == string(doc) {
		return Unchanged, nil
	}
	if err := r.backend.PutConnector(ctx, c.ID, c.Team, doc); err != nil {
		return "", fmt.Errorf("connector %s: %w", quoteShort(c.ID), err)
	}
	return change, nil
}

// fixed names what of an existing connector cannot change.
func fixed(old, c Connector) (p waybill.Problems) {
	if old.Team != c.Team {
		p.Addf("team", "cannot change: the connector belongs to another team; use another id")
	}
	if old.Kind != c.Kind {
		p.Addf("kind", "cannot change from %s to %s; use another id", old.Kind, c.Kind)
	}
	return p
}

// Delete removes a connector. Its id stays used.
func (r *Registry) Delete(ctx context.Context, id string) error {
	if err := r.backend.DeleteConnector(ctx, id); err != nil {
		return fmt.Errorf("connector %s: %w", quoteShort(id), err)
	}
	return nil
}
