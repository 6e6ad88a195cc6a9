package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// RecordType says what a [Record] holds.
type RecordType string

// The types of record, in the order in which an export gives them: documents,
// then of each slot its schema versions, its runs that have no delivery (yet),
// and its deliveries, each run before the newest of its deliveries.
const (
	RecordDocument RecordType = "document"
	RecordSchema   RecordType = "schema"
	RecordRun      RecordType = "run"
	RecordDelivery RecordType = "delivery"
)

// Record is one line of an export, and of what leaves the ledger for our
// bucket's history.
type Record struct {
	Type     RecordType        `json:"type"`
	Kind     string            `json:"kind,omitempty"` // of a document, e.g. connectors
	ID       string            `json:"id,omitempty"`   // of a document
	Deleted  bool              `json:"deleted,omitempty"`
	Document json.RawMessage   `json:"document,omitempty"`
	Schema   *SchemaRecord     `json:"schema,omitempty"`
	Run      *RunRecord        `json:"run,omitempty"`
	Delivery *waybill.Delivery `json:"delivery,omitempty"`
	History  []waybill.Event   `json:"history,omitempty"` // of a delivery, oldest first
}

// SchemaRecord is one schema version of a workflow.
type SchemaRecord struct {
	TeamID     string          `json:"teamId"`
	WorkflowID string          `json:"workflowId"`
	Version    int             `json:"version"`
	Fields     []waybill.Field `json:"fields"`
}

// RunRecord is an accepted run.
type RunRecord struct {
	waybill.Run
	Revision      string `json:"revision"`
	Generation    int    `json:"generation"`
	SchemaVersion int    `json:"schemaVersion"`
}

// exportPage is how many deliveries an export reads at a time.
const exportPage = 500

// Export writes the whole ledger to w as JSON lines. Its memory is bounded by
// the runs of one slot, a 64th of the teams, at a few bytes each. The fleet may
// work on: each record is whole and was true when it was read; a delivery that
// is planned or trimmed meanwhile may be missing, none is given twice. A
// source's URI is given without its query, which may be a signature.
func (l *Ledger) Export(ctx context.Context, w io.Writer) error {
	e := exporter{l, json.NewEncoder(w)}
	if err := e.documents(ctx); err != nil {
		return err
	}
	for slot := range waybill.Slots {
		if err := e.slot(ctx, slot); err != nil {
			return err
		}
	}
	return nil
}

type exporter struct {
	*Ledger
	lines *json.Encoder
}

func (e exporter) write(r Record) error {
	if err := e.lines.Encode(r); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (e exporter) documents(ctx context.Context) error {
	kinds, err := e.rdb.SMembers(ctx, documentKinds).Result()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		k := documents{e.Ledger, kind}
		groups, err := e.rdb.HGetAll(ctx, k.groups()).Result()
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		for _, id := range slices.Sorted(maps.Keys(groups)) {
			doc, err := e.rdb.HGet(ctx, k.members(groups[id]), id).Bytes()
			if ignoreNil(err) != nil {
				return fmt.Errorf("ledger: %w", err)
			}
			if err := e.write(Record{Type: RecordDocument, Kind: kind, ID: id, Deleted: err != nil, Document: doc}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e exporter) slot(ctx context.Context, slot int) error {
	if err := e.schemas(ctx, slot); err != nil {
		return err
	}
	for _, list := range []string{"plan", "idle"} {
		if err := e.runs(ctx, prefix(slot)+list); err != nil {
			return err
		}
	}
	return e.deliveries(ctx, slot)
}

func (e exporter) schemas(ctx context.Context, slot int) error {
	workflows, err := e.rdb.SMembers(ctx, prefix(slot)+"workflows").Result()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	slices.Sort(workflows)
	for _, name := range workflows {
		team, workflow, _ := strings.Cut(name, "/")
		schemas, err := e.Schemas(ctx, team, workflow)
		if err != nil {
			return err
		}
		for _, n := range slices.Sorted(maps.Keys(schemas)) {
			if err := e.write(Record{Type: RecordSchema, Schema: &SchemaRecord{team, workflow, n, schemas[n].Fields}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// runs writes the runs of one list that have no delivery, page by page.
func (e exporter) runs(ctx context.Context, list string) error {
	for offset := int64(0); ; offset += exportPage {
		names, err := e.rdb.ZRange(ctx, list, offset, offset+exportPage-1).Result()
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		for _, name := range names {
			key, _ := parseRunKey(name)
			live, err := e.rdb.HGet(ctx, prefix(waybill.Slot(key.TeamID))+"run:"+name, "live").Int()
			if ignoreNil(err) != nil {
				return fmt.Errorf("ledger: %w", err)
			}
			if live > 0 {
				continue // it comes with its deliveries
			}
			if err := e.run(ctx, key); err != nil {
				return err
			}
		}
		if len(names) < exportPage {
			return nil
		}
	}
}

func (e exporter) run(ctx context.Context, key waybill.RunKey) error {
	a, err := e.Run(ctx, key)
	if errors.Is(err, waybill.ErrNotFound) {
		return nil // trimmed meanwhile
	}
	if err != nil {
		return err
	}
	a.Run.Source.URI, _, _ = strings.Cut(a.Run.Source.URI, "?")
	return e.write(Record{Type: RecordRun, Run: &RunRecord{a.Run, a.Revision, a.Generation, a.SchemaVersion}})
}

// deliveries writes a slot's deliveries, newest first. It reads them by
// connector: they never leave that index until they are trimmed.
func (e exporter) deliveries(ctx context.Context, slot int) error {
	teams, err := e.rdb.SMembers(ctx, prefix(slot)+"teams").Result()
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	keys, err := e.teamIndexes(ctx, slot, teams...)
	if err != nil {
		return err
	}
	written := map[uint64]bool{} // runs, by a hash
	for at := newest; ; {
		heads, err := e.heads(ctx, keys, at, time.Time{}, exportPage)
		if err != nil || len(heads) == 0 {
			return err
		}
		at = heads[len(heads)-1]
		if err := e.page(ctx, heads, written); err != nil {
			return err
		}
	}
}

// page writes deliveries and, before the newest of each run, the run.
func (e exporter) page(ctx context.Context, heads []position, written map[uint64]bool) error {
	list, err := e.Ledger.deliveries(ctx, heads)
	if err != nil {
		return err
	}
	ids := make([]string, len(heads))
	for i, h := range heads {
		ids[i] = h.id
	}
	histories, err := e.histories(ctx, ids)
	if err != nil {
		return err
	}
	for i, d := range list {
		if d.ID == "" { // trimmed meanwhile
			continue
		}
		if name := maphash.String(runHash, d.RunKey.String()); !written[name] {
			written[name] = true
			if err := e.run(ctx, d.RunKey); err != nil {
				return err
			}
		}
		if err := e.write(Record{Type: RecordDelivery, Delivery: &d, History: histories[i]}); err != nil {
			return err
		}
	}
	return nil
}

var runHash = maphash.MakeSeed()
