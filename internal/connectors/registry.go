package connectors

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
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
	// It returns [waybill.ErrChanged] unless was stands there now (nil: nothing).
	PutConnector(ctx context.Context, id, team string, was, doc []byte) error
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
	newID   func() string // a new external id
}

// NewRegistry returns the registry that backend keeps.
func NewRegistry(backend Backend, rules Rules) *Registry {
	// rand.Text holds at least 128 random bits, in letters and digits that
	// STS takes: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	return &Registry{backend: backend, rules: rules, now: time.Now, newID: func() string { return "waybill-" + rand.Text() }}
}

// Get returns a connector, or an error that matches [ErrNotFound].
func (r *Registry) Get(ctx context.Context, id string) (Connector, error) {
	doc, err := r.backend.Connector(ctx, id)
	if err != nil {
		return Connector{}, fmt.Errorf("connector %s: %w", waybill.Quote(id), err)
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
// where its id was another's. CreatedAt and ExternalID are the registry's own:
// what c says of them is not looked at.
func (r *Registry) Apply(ctx context.Context, c Connector) (Change, error) {
	if err := r.rules.Validate(c).Err(); err != nil {
		return "", err
	}
	for {
		change, err := r.apply(ctx, c)
		if !errors.Is(err, waybill.ErrChanged) { // somebody applied it at the same moment: once more, on top of theirs
			return change, err
		}
	}
}

func (r *Registry) apply(ctx context.Context, c Connector) (Change, error) {
	was, err := r.backend.Connector(ctx, c.ID)
	if errors.Is(err, ErrNotFound) {
		was, err = nil, nil
	}
	if err != nil {
		return "", fmt.Errorf("connector %s: %w", waybill.Quote(c.ID), err)
	}
	change := Created
	if was == nil {
		c.CreatedAt, c.ExternalID = r.now().UTC().Truncate(time.Second), r.newID()
	} else {
		change = Changed
		old, err := Decode(was)
		if err != nil {
			return "", err
		}
		if err := fixed(old, c).Err(); err != nil {
			return "", err
		}
		c.CreatedAt, c.ExternalID = old.CreatedAt, old.ExternalID
		if c.ExternalID == "" { // from before there were external ids
			c.ExternalID = r.newID()
		}
	}
	return r.put(ctx, change, was, c)
}

func (r *Registry) put(ctx context.Context, change Change, was []byte, c Connector) (Change, error) {
	doc, err := c.Encode()
	if err != nil {
		return "", err
	}
	if bytes.Equal(was, doc) {
		return Unchanged, nil
	}
	if err := r.backend.PutConnector(ctx, c.ID, c.Team, was, doc); err != nil {
		return "", fmt.Errorf("connector %s: %w", waybill.Quote(c.ID), err)
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
	if old.Databricks != nil && c.Databricks != nil {
		p.Add("databricks", c.Databricks.fixed(*old.Databricks))
	}
	return p
}

// Delete removes a connector. Its id stays used.
func (r *Registry) Delete(ctx context.Context, id string) error {
	if err := r.backend.DeleteConnector(ctx, id); err != nil {
		return fmt.Errorf("connector %s: %w", waybill.Quote(id), err)
	}
	return nil
}
