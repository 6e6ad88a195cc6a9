package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// document is something small that must outlive Redis: a connector, a cursor,
// a plan, a token's hash. The object in our bucket decides; Redis follows.
//
// Each change is a conditional write of the object with the next revision, so
// that changes stand in one order. Redis takes a revision only if it is newer
// than its own. Whoever finds Redis behind, because somebody stopped in
// between, brings it forward: both end up the same, whoever is interrupted.
type document struct {
	Revision int64           `json:"revision"`
	Group    string          `json:"group"`             // what it is listed by: a connector's team
	Deleted  bool            `json:"deleted,omitempty"` // the id stays used
	Doc      json.RawMessage `json:"doc,omitempty"`
}

// text is the document in one line, the same whoever wrote it; empty if it was
// deleted.
func (d document) text() ([]byte, error) {
	if d.Deleted || d.Revision == 0 {
		return nil, nil
	}
	text, err := json.Marshal(d.Doc)
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return text, nil
}

// documents are those of one kind. All live under one hash tag: they are asked
// for by id, without their group.
type documents struct {
	ledger *Ledger
	kind   string
}

var keepScript = named("keep", lua("keep"))

const documentKinds = "wb:{docs}:kinds" // SET

func (k documents) revisions() string           { return "wb:{docs}:" + k.kind + ":revision" }    // HASH id → revision
func (k documents) groups() string              { return "wb:{docs}:" + k.kind + ":group" }       // HASH id → group
func (k documents) members(group string) string { return "wb:{docs}:" + k.kind + ":of:" + group } // HASH id → document
func (k documents) object(id string) string     { return documentsPrefix + k.kind + "/" + id + ".json" }

// look reads the object of a document; a zero document if there is none.
func (k documents) look(ctx context.Context, id string) (d document, etag string, err error) {
	etag, err = k.ledger.getJSON(ctx, k.object(id), &d)
	if errors.Is(err, waybill.ErrNotFound) {
		return document{}, "", nil
	}
	return d, etag, err
}

// change puts a document in the place of what stands in our bucket with the
// ETag, "" for nothing, and then into Redis. It returns [waybill.ErrChanged]
// if something else stands there now.
func (k documents) change(ctx context.Context, id, etag string, was int64, d document) error {
	if etag == "" { // if the bucket lost it, Redis may still know a revision
		known, err := k.ledger.rdb.HGet(ctx, k.revisions(), id).Int64()
		if ignoreNil(err) != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		was = known
	}
	d.Revision = was + 1
	opts := storage.PutOptions{IfMatch: etag, IfAbsent: etag == ""}
	switch err := k.ledger.putJSON(ctx, k.object(id), d, opts); {
	case errors.Is(err, storage.ErrPrecondition), errors.Is(err, storage.ErrNotExist):
		return fmt.Errorf("%w: %w", waybill.ErrChanged, err)
	case err != nil:
		return err
	}
	return k.keep(ctx, id, d)
}

// keep brings Redis to what our bucket says.
func (k documents) keep(ctx context.Context, id string, d document) error {
	text, err := d.text()
	if err != nil {
		return err
	}
	keys := []string{k.revisions(), k.groups(), k.members(d.Group), documentKinds}
	if err := keepScript.Run(ctx, k.ledger.rdb, keys, id, d.Revision, d.Group, text, k.kind).Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// group returns the group of an id that was ever used, or "".
func (k documents) group(ctx context.Context, id string) (string, error) {
	group, err := k.ledger.rdb.HGet(ctx, k.groups(), id).Result()
	if ignoreNil(err) != nil {
		return "", fmt.Errorf("ledger: %w", err)
	}
	return group, nil
}

// get returns a document, or [waybill.ErrNotFound].
func (k documents) get(ctx context.Context, id string) ([]byte, error) {
	group, err := k.group(ctx, id)
	if err != nil {
		return nil, err
	}
	doc, err := k.ledger.rdb.HGet(ctx, k.members(group), id).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, waybill.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return doc, nil
}

// Mirror keeps a small document that must outlive Redis, in our bucket first:
// a cursor, a plan, a token's hash. Kind and id are path segments of at most
// 128 letters, digits, "_", "." or "-". The last writer wins; what is lost
// with Redis comes back with [Ledger.Rebuild].
func (l *Ledger) Mirror(ctx context.Context, kind, id string, doc json.RawMessage) error {
	if !waybill.ValidID(kind) || !waybill.ValidID(id) || kind == connectorKind {
		return fmt.Errorf("document %s/%s: not a kind and an id that can be mirrored", waybill.Quote(kind), waybill.Quote(id))
	}
	k := documents{l, kind}
	for {
		was, etag, err := k.look(ctx, id)
		if err != nil {
			return err
		}
		err = k.change(ctx, id, etag, was.Revision, document{Doc: doc})
		if !errors.Is(err, waybill.ErrChanged) {
			return err
		}
	}
}

// Mirrored returns a document that [Ledger.Mirror] keeps, or [waybill.ErrNotFound].
func (l *Ledger) Mirrored(ctx context.Context, kind, id string) (json.RawMessage, error) {
	doc, err := documents{l, kind}.get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("document %s/%s: %w", kind, id, err)
	}
	return doc, nil
}

// MirroredAll returns all documents of a kind that [Ledger.Mirror] keeps, by id.
func (l *Ledger) MirroredAll(ctx context.Context, kind string) (map[string]json.RawMessage, error) {
	texts, err := l.rdb.HGetAll(ctx, documents{l, kind}.members("")).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	docs := make(map[string]json.RawMessage, len(texts))
	for id, text := range texts {
		docs[id] = json.RawMessage(text)
	}
	return docs, nil
}
