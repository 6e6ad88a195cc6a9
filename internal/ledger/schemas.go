package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

var schemaScript = script("schema")

// schemaVersion is the object in our bucket that makes n the name of a descriptor.
type schemaVersion struct {
	Fingerprint string         `json:"fingerprint"`
	Schema      waybill.Schema `json:"schema"`
}

func schemaKey(team, workflow string, n int) string {
	return fmt.Sprintf("%s%s/%s/%d.json", schemasPrefix, team, workflow, n)
}

// claimVersion gives the run's descriptor a schema version: the first free n
// above last, the highest that Redis knows. The object in our bucket decides,
// and is written only where there is none, so that two producers cannot give
// one n two meanings, and a Redis that was lost cannot give it a second one.
// Redis learns of every version on the way, so that what it knows is always
// all of the bucket's up to some n: a descriptor that has an n above last is
// met before a free one is.
func (l *Ledger) claimVersion(ctx context.Context, run waybill.Run, last int) error {
	wanted := schemaVersion{Fingerprint: run.Schema.Fingerprint(), Schema: run.Schema}
	for n := last + 1; ; n++ {
		key, v := schemaKey(run.TeamID, run.WorkflowID, n), wanted
		err := l.putJSON(ctx, key, v, storage.PutOptions{IfAbsent: true})
		if errors.Is(err, storage.ErrPrecondition) {
			v = schemaVersion{} // not into the run's own fields
			_, err = l.getJSON(ctx, key, &v)
		}
		if err != nil {
			return err
		}
		if err := l.knowVersion(ctx, run.TeamID, run.WorkflowID, n, v); err != nil || v.Fingerprint == wanted.Fingerprint {
			return err
		}
	}
}

// knowVersion tells Redis of a schema version that our bucket has.
func (l *Ledger) knowVersion(ctx context.Context, team, workflow string, n int, v schemaVersion) error {
	text, err := json.Marshal(v.Schema)
	if err != nil {
		return fmt.Errorf("encode schema: %w", err)
	}
	_, err = l.run(ctx, schemaScript, prefix(waybill.Slot(team)), team+"/"+workflow, n, v.Fingerprint, text)
	return err
}

// Schemas returns the descriptors that runs of the workflow were handed in
// with, by their schema version n; none if there was no run.
func (l *Ledger) Schemas(ctx context.Context, team, workflow string) (map[int]waybill.Schema, error) {
	fields, err := l.rdb.HGetAll(ctx, prefix(waybill.Slot(team))+"schemas:"+team+"/"+workflow).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	schemas := make(map[int]waybill.Schema, len(fields))
	for version, text := range fields {
		var s waybill.Schema
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return nil, fmt.Errorf("decode schema version %s of %s/%s: %w", version, team, workflow, err)
		}
		schemas[atoi(version)] = s
	}
	return schemas, nil
}
