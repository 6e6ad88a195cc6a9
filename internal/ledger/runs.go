package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
)

var (
	acceptScript = script("accept")
	planScript   = script("plan")
)

// Outcome is what handing in a run, or planning a delivery, changed.
type Outcome string

// The outcomes.
const (
	OutcomeNew      Outcome = "NEW"      // was not there before
	OutcomeSame     Outcome = "SAME"     // was there, in this revision
	OutcomeReplaced Outcome = "REPLACED" // was there, in another revision; the next generation begins
)

// Accepted is a run as the ledger accepted it.
type Accepted struct {
	Outcome       Outcome
	Run           waybill.Run
	Revision      string
	Generation    int // 1, and one more for each replacement
	SchemaVersion int // n of V<n>

	facts string // of a run that only a backfill brought; empty: a producer did
	alias string // another revision that means the same
}

// Historical reports whether only a backfill brought the run so far.
func (a Accepted) Historical() bool { return a.facts != "" }

// ConflictError refuses a run whose job was handed in before with other content.
type ConflictError struct {
	Run    waybill.RunKey
	Fields []string // that differ
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("run %s was handed in before with another %s; set replace to true to deliver it anew", e.Run, strings.Join(e.Fields, ", "))
}

// Accept takes a finished run into the ledger: durable when it returns, in as
// many replicas as [Options] say. Where Redis cannot promise that just now the
// error matches [waybill.ErrUnavailable], and handing the run in again is safe.
// Handing in the same revision again is a success and changes nothing; another
// revision is a [*ConflictError] unless the run says replace.
func (l *Ledger) Accept(ctx context.Context, run waybill.Run) (Accepted, error) {
	return l.accept(ctx, run, false)
}

func (l *Ledger) accept(ctx context.Context, run waybill.Run, historical bool) (Accepted, error) {
	if err := run.Validate(); err != nil {
		return Accepted{}, err
	}
	text, err := json.Marshal(run)
	if err != nil {
		return Accepted{}, fmt.Errorf("encode run: %w", err)
	}
	fresh := false
	for {
		r, err := l.runConfirmed(ctx, acceptScript, prefix(waybill.Slot(run.TeamID)), run.RunKey.String(), run.Revision(), text, flag(run.Replace),
			run.TeamID+"/"+run.WorkflowID, run.Schema.Fingerprint(), run.FinishedAt.UnixMilli(), flag(fresh), run.Facts(), flag(historical))
		switch r.text(0) { // the first two have written nothing that a replica must have
		case "VERSION":
			err = l.claimVersion(ctx, run, int(r.int(1)))
		case "LOOK":
			err = l.restoreRun(ctx, run.RunKey)
			if errors.Is(err, waybill.ErrNotFound) {
				fresh, err = true, nil
			}
		default:
			if err == nil {
				return accepted(run, r)
			}
		}
		if err != nil {
			return Accepted{}, err
		}
	}
}

func accepted(run waybill.Run, r reply) (Accepted, error) {
	var known waybill.Run
	if err := json.Unmarshal([]byte(r.text(3)), &known); err != nil {
		return Accepted{}, fmt.Errorf("decode accepted run: %w", err)
	}
	if r.text(0) == "CONFLICT" {
		return Accepted{}, &ConflictError{Run: run.RunKey, Fields: run.Differing(known)}
	}
	return Accepted{Outcome: Outcome(r.text(0)), Run: known, Revision: run.Revision(), Generation: int(r.int(1)), SchemaVersion: int(r.int(2))}, nil
}

// Run returns an accepted run.
func (l *Ledger) Run(ctx context.Context, key waybill.RunKey) (Accepted, error) {
	fields, err := l.rdb.HGetAll(ctx, prefix(waybill.Slot(key.TeamID))+"run:"+key.String()).Result()
	if err != nil {
		return Accepted{}, fmt.Errorf("ledger: %w", err)
	}
	return decodeRun(key, fields)
}

func decodeRun(key waybill.RunKey, fields map[string]string) (Accepted, error) {
	if fields["revision"] == "" {
		return Accepted{}, fmt.Errorf("run %s: %w", key, waybill.ErrNotFound)
	}
	a := Accepted{Outcome: OutcomeSame, Revision: fields["revision"], Generation: atoi(fields["gen"]), SchemaVersion: atoi(fields["version"]),
		facts: fields["historical"], alias: fields["alias"]}
	if err := json.Unmarshal([]byte(fields["run"]), &a.Run); err != nil {
		return Accepted{}, fmt.Errorf("decode run %s: %w", key, err)
	}
	return a, nil
}

// Unplanned returns accepted runs that no delivery was written for yet, oldest
// first, at most limit of each slot.
func (l *Ledger) Unplanned(ctx context.Context, limit int64) ([]waybill.RunKey, error) {
	lists, err := l.perSlot(ctx, func(p redis.Pipeliner, prefix string) *redis.StringSliceCmd {
		return p.ZRange(ctx, prefix+"plan", 0, limit-1)
	})
	var keys []waybill.RunKey
	for _, list := range lists {
		for _, name := range list {
			if key, ok := parseRunKey(name); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys, err
}

// parseRunKey reads what [waybill.RunKey.String] wrote.
func parseRunKey(name string) (waybill.RunKey, bool) {
	part := strings.Split(name, "/")
	if len(part) != 3 {
		return waybill.RunKey{}, false
	}
	return waybill.RunKey{TeamID: part[0], WorkflowID: part[1], JobID: part[2]}, true
}

// perSlot asks all slots in one round trip.
func (l *Ledger) perSlot(ctx context.Context, ask func(redis.Pipeliner, string) *redis.StringSliceCmd) ([][]string, error) {
	cmds := make([]*redis.StringSliceCmd, waybill.Slots)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for slot := range cmds {
			cmds[slot] = ask(p, prefix(slot))
		}
		return nil
	})
	lists := make([][]string, len(cmds))
	for i, c := range cmds {
		lists[i] = c.Val()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return lists, fmt.Errorf("ledger: %w", err)
	}
	return lists, nil
}

// Planned is one delivery that a run becomes.
type Planned struct {
	Connector
	Task  string // task type of its first step
	Queue string // the connector's own, or [Backfill]
}

// RunPlan is what an accepted run becomes.
type RunPlan struct {
	Run        Accepted
	Deliveries []Planned
}

// Plan writes the deliveries of an accepted run, all at once, and admits what
// their connectors have room for, beside the caller: see [Ledger.Wait]. It is
// idempotent.
func (l *Ledger) Plan(ctx context.Context, a Accepted, deliveries []Planned) error {
	return l.plan(ctx, []RunPlan{{a, deliveries}}, true)[0]
}

// PlanEach does so for runs of one team, in their order and one round trip. It
// returns an error, or nil, for each.
func (l *Ledger) PlanEach(ctx context.Context, runs []RunPlan) []error {
	return l.plan(ctx, runs, true)
}

// plan does so; whole says that the runs have no other deliveries.
func (l *Ledger) plan(ctx context.Context, runs []RunPlan, whole bool) []error {
	calls := make([]call, len(runs))
	for i, p := range runs {
		key := p.Run.Run.RunKey
		args := []any{key.String(), p.Run.Generation, key.TeamID, key.WorkflowID, key.JobID, p.Run.SchemaVersion, p.Run.Run.FinishedAt.UnixMilli(),
			millis(l.opts.Grace), flag(whole)}
		for _, d := range p.Deliveries {
			if d.Team != key.TeamID { // scripts of several slots would be one's
				return slices.Repeat([]error{fmt.Errorf("connector %s is not of team %s, whose run this is", d.ID, key.TeamID)}, len(runs))
			}
			args = append(append(args, waybill.DeliveryID(key, d.ID), string(d.Kind), d.Task, d.Queue), d.args()...)
		}
		calls[i] = call{prefix(waybill.Slot(key.TeamID)), args}
	}
	replies, errs := l.runEach(ctx, planScript, calls)
	var ready []Ready
	var turns []turn
	for _, r := range replies {
		ready, turns = append(ready, r.ready(1)...), append(turns, r.turns(0)...)
	}
	l.dispatch(ctx, ready)
	l.admit(turns)
	return errs
}

// flag is how scripts are told yes or no.
func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}
