package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/tasks"
	"github.com/waybillhq/waybill/warehouses/delta"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// operated is a connector with published tables, as an operator meets it.
type operated struct {
	*deltaRig
	*handlers.Operations
}

var who = handlers.Request{By: "ops@test", Why: "a test"}

func setupOperated(t *testing.T) *operated {
	t.Helper()
	r := setupDelta(t)
	r.Handlers.Connector = func(ctx context.Context, id string) (connectors.Connector, error) {
		doc, err := r.Ledger.Connector(ctx, id)
		if err != nil {
			return connectors.Connector{}, err
		}
		return connectors.Decode(doc)
	}
	o := &operated{r, &handlers.Operations{Handlers: r.Handlers, Keep: time.Hour}}
	o.apply(t)
	return o
}

// apply keeps the rig's connector in the ledger.
func (o *operated) apply(t *testing.T) {
	t.Helper()
	was, err := o.deltaRig.Ledger.Connector(t.Context(), "lake")
	if err != nil && !errors.Is(err, waybill.ErrNotFound) {
		t.Fatal(err)
	}
	doc, err := o.connector.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.deltaRig.Ledger.PutConnector(t.Context(), "lake", team, was, doc); err != nil {
		t.Fatal(err)
	}
}

// other is a run of another workflow of the connector.
func (o *operated) other(day int, records ...string) waybill.Run {
	run := o.run(day, schemaA, records...)
	run.WorkflowID = "wf_other"
	return run
}

func id(run waybill.Run) string { return waybill.DeliveryID(run.RunKey, "lake") }

// retry publishes an unpublished run once more.
func (o *operated) retry(t *testing.T, run waybill.Run) {
	t.Helper()
	if err := o.deltaRig.Ledger.Retry(t.Context(), id(run)); err != nil {
		t.Fatal(err)
	}
	o.deltaRig.Ledger.Wait()
	last := o.queue.last
	if err := o.DeltaPublish(t.Context(), tasks.DeliveryRef{Delivery: last.Delivery, Generation: last.Generation, Enqueue: last.Enqueue}); err != nil {
		t.Fatal(err)
	}
}

func (o *operated) wantState(t *testing.T, run waybill.Run, want waybill.State) {
	t.Helper()
	if d, err := o.deltaRig.Ledger.Delivery(t.Context(), id(run)); err != nil || d.State != want {
		t.Errorf("%s is %s, %v, want %s", run.JobID, d.State, err, want)
	}
}

// receipts are what was done to the connector, and nothing may be pending.
func (o *operated) receipts(t *testing.T) []waybill.OperationReceipt {
	t.Helper()
	done, err := o.deltaRig.Ledger.Operations(t.Context(), "lake")
	if err != nil {
		t.Fatal(err)
	}
	pending, err := o.deltaRig.Ledger.PendingOperations(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pending {
		if p.After.IsZero() {
			t.Errorf("still pending: %s of %s", p.Operation, p.WorkflowID)
		}
	}
	return done
}

func change(r waybill.OperationReceipt, table string) waybill.TableChange {
	i := slices.IndexFunc(r.Changes, func(c waybill.TableChange) bool { return c.Table == table })
	if i < 0 {
		return waybill.TableChange{}
	}
	return r.Changes[i]
}

func TestLatestIsMovedBackPinnedAndLetGo(t *testing.T) {
	o := setupOperated(t)
	o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
	o.publish(t, o.run(2, schemaB, `{"Title":"b2"}`))
	receipt, err := o.PointLatest(t.Context(), who, o.connector, "wf_movies", 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := change(receipt, latest); c.From != 2 || c.To != 1 || receipt.By != who.By || receipt.Fence == 0 {
		t.Errorf("receipt %+v", receipt)
	}
	o.wantTitles(t, "moved back", map[string]string{latest: "a1"})
	if got := o.latest(t); got != v1 {
		t.Errorf("%s is called the latest", got)
	}
	o.publish(t, o.run(3, schemaB, `{"Title":"b3"}`))
	o.publish(t, o.run(4, schemaA, `{"Title":"a4"}`))
	o.wantTitles(t, "pinned", map[string]string{latest: "a1 a4", v2: "b2 b3"})
	o.publish(t, o.run(5, schemaB, `{"Title":"b5"}`))
	if l, err := o.Latest(t.Context(), o.connector, "wf_movies"); err != nil || !l.Pinned || l.Version != 1 || l.Newest != 2 || l.NewestJob != "job-05" ||
		!slices.Equal(l.Versions, []int{1, 2}) || len(l.Moves) != 3 || !l.Moves[0].Pinned || l.Moves[1].Version != 2 {
		t.Errorf("latest %+v, %v", l, err)
	}
	if _, err := o.PointLatest(t.Context(), who, o.connector, "wf_movies", 0); err != nil {
		t.Fatal(err)
	}
	o.wantTitles(t, "following again", map[string]string{latest: "b2 b3 b5"})
	if _, err := o.PointLatest(t.Context(), who, o.connector, "wf_movies", 7); err == nil || waybill.At("", err).Code != "delta.no_version" {
		t.Errorf("a version that there is not: %v", err)
	}
	if n := len(o.receipts(t)); n != 2 {
		t.Errorf("%d receipts", n)
	}
}

func TestAnUnpublishedRunIsGoneUntilItIsRetried(t *testing.T) {
	o := setupOperated(t)
	good, bad := o.run(1, schemaA, `{"Title":"a1"}`), o.run(2, schemaB, `{"Title":"b2"}`, `{"Title":"b2-2"}`)
	o.run(1, schemaA, `{"Title":"a1"}`)
	o.publish(t, good)
	o.run(2, schemaB, `{"Title":"b2"}`, `{"Title":"b2-2"}`)
	o.publish(t, bad)
	receipt, err := o.Unpublish(t.Context(), who, id(bad))
	if err != nil {
		t.Fatal(err)
	}
	if c := change(receipt, v2); c.Rows != 2 || c.Effect != waybill.EffectRemoved || receipt.JobID != bad.JobID {
		t.Errorf("receipt %+v", receipt)
	}
	o.wantTitles(t, "unpublished", map[string]string{v1: "a1", v2: "", latest: "a1"})
	if got := o.column(t, runRows, "STATUS"); got != "PUBLISHED UNPUBLISHED" || o.latest(t) != v1 {
		t.Errorf("runs are %s, latest %s", got, o.latest(t))
	}
	o.wantState(t, bad, waybill.StateUnpublished)
	o.retry(t, bad)
	o.wantState(t, bad, waybill.StateComplete)
	o.wantTitles(t, "retried", map[string]string{v2: "b2 b2-2", latest: "b2 b2-2"})
	if got := o.column(t, runRows, "STATUS"); strings.Contains(got, waybill.StatusUnpublished) {
		t.Errorf("runs are %s", got)
	}
	// A replacement publishes anew as well.
	if _, err := o.Unpublish(t.Context(), who, id(bad)); err != nil {
		t.Fatal(err)
	}
	again := o.run(2, schemaB, `{"Title":"c2"}`)
	again.Replace = true
	o.publish(t, again)
	o.wantTitles(t, "replaced", map[string]string{v2: "c2", latest: "c2"})
	// With nothing left LATEST is empty, where it is.
	for _, run := range []waybill.Run{again, good} {
		if _, err := o.Unpublish(t.Context(), who, id(run)); err != nil {
			t.Fatal(err)
		}
	}
	o.wantTitles(t, "nothing left", map[string]string{v1: "", v2: "", latest: ""})
}

func TestWhatIsOnItsWayIsNotUnpublished(t *testing.T) {
	o := setupOperated(t)
	run := o.run(1, schemaA, `{"Title":"a1"}`)
	ref := o.plan(t, run)
	if _, ok := errors.AsType[*ledger.StateError](func() error { _, err := o.Unpublish(t.Context(), who, ref.Delivery); return err }()); !ok {
		t.Error("a delivery on its way was unpublished")
	}
	o.connector.Kind = waybill.KindStorage
	if _, err := o.PointLatest(t.Context(), who, o.connector, "wf_movies", 1); err == nil || !strings.Contains(err.Error(), "no published tables") {
		t.Errorf("a bucket's LATEST: %v", err)
	}
}

// everyVersion is all that can be read of a table, in whatever version.
func (o *operated) everyVersion(t *testing.T, name string) string {
	t.Helper()
	table := delta.Open(o.deltaRig.tables, name, delta.Options{})
	versions, err := table.Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range versions {
		s, err := table.SnapshotAt(t.Context(), v.Version)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := table.Rows(t.Context(), s)
		if err != nil {
			continue // its files are gone
		}
		text, err := json.Marshal(rows)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return strings.Join(all, "\n")
}

func TestAWorkflowThatIsNoLongerSelectedIsNotReadable(t *testing.T) {
	o := setupOperated(t)
	o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
	o.publish(t, o.other(2, `{"Title":"o2"}`))
	before := map[string][]string{}
	for _, name := range []string{runRows, waybill.TableVersions, waybill.TableFields} {
		before[name] = o.rows(t, name)
	}
	o.connector.Workflows = []string{"wf_other"}
	o.apply(t)
	done, err := o.Align(t.Context(), who, o.connector)
	if err != nil || len(done) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if c := change(done[0], v1); c.Effect != waybill.EffectRevoked || c.Rows != 1 || c.Files != 1 || c.Bytes == 0 {
		t.Errorf("receipt %+v", done[0])
	}
	for name := range before {
		if text := o.everyVersion(t, name); strings.Contains(text, "wf_movies") || !strings.Contains(text, "wf_other") {
			t.Errorf("%s can be read as\n%s", name, text)
		}
	}
	o.publish(t, o.other(3, `{"Title":"o3"}`))
	o.wantTitles(t, "the other goes on", map[string]string{"WF_OTHER__LATEST": "o2 o3", v1: "a1"})
	if again, err := o.Align(t.Context(), who, o.connector); err != nil || len(again) != 0 {
		t.Errorf("aligned again: %+v, %v", again, err)
	}

	// Selected again, it is shown as it was.
	o.connector.Workflows = nil
	o.apply(t)
	if done, err = o.Align(t.Context(), who, o.connector); err != nil || len(done) != 1 || done[0].Operation != waybill.OperationReadmit {
		t.Fatalf("%+v, %v", done, err)
	}
	for name, rows := range before {
		now := o.rows(t, name)
		for _, row := range rows {
			if !slices.Contains(now, row) {
				t.Errorf("%s lacks %s", name, row)
			}
		}
	}
	o.publish(t, o.run(4, schemaA, `{"Title":"a4"}`))
	o.wantTitles(t, "selected again", map[string]string{v1: "a1 a4", latest: "a1 a4"})
	if pending, err := o.deltaRig.Ledger.PendingOperations(t.Context(), ""); err != nil || len(pending) != 0 {
		t.Errorf("pending %+v, %v", pending, err)
	}
}

func TestNarrowedDataIsErasedWhenItsTimeIsOver(t *testing.T) {
	o := setupOperated(t)
	o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
	o.publish(t, o.other(2, `{"Title":"o2"}`))
	o.connector.Workflows = []string{"wf_other"}
	o.apply(t)
	o.Keep = time.Nanosecond
	if _, err := o.Align(t.Context(), who, o.connector); err != nil {
		t.Fatal(err)
	}
	if err := o.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := o.names(t); slices.Contains(names, v1) || slices.Contains(names, latest) || !slices.Contains(names, "WF_OTHER__V1") {
		t.Errorf("left are %v", names)
	}
	for _, name := range []string{runRows, waybill.TableVersions, waybill.TableFields} {
		if text := o.everyVersion(t, "_withheld/"+name); strings.Contains(text, "wf_movies") {
			t.Errorf("kept of %s:\n%s", name, text)
		}
	}
	if done := o.receipts(t); len(done) != 2 || done[1].Operation != waybill.OperationPurge || change(done[1], v1).Rows != 1 {
		t.Errorf("receipts %+v", done)
	}
	// The workflow can come back, with what is delivered from then on.
	o.connector.Workflows = nil
	o.apply(t)
	o.publish(t, o.run(5, schemaA, `{"Title":"a5"}`))
	o.wantTitles(t, "from anew", map[string]string{v1: "a5", latest: "a5"})
}

func (o *operated) tokens() sharing.TokenBook {
	return sharing.TokenBook{Documents: o.deltaRig.Ledger, Now: time.Now}
}

func TestADeletedConnectorsCustomerReadsNothingAtOnce(t *testing.T) {
	for _, purge := range []bool{false, true} {
		t.Run(fmt.Sprintf("purge %t", purge), func(t *testing.T) {
			o := setupOperated(t)
			o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
			waiting := o.run(2, schemaA, `{"Title":"a2"}`)
			o.plan(t, waiting)
			if _, _, err := o.tokens().Issue(t.Context(), "lake", time.Hour); err != nil {
				t.Fatal(err)
			}
			done, err := o.Delete(t.Context(), who, "lake", purge)
			if err != nil || done[0].Operation != waybill.OperationRevoke || change(done[0], v1).Rows != 1 {
				t.Fatalf("%+v, %v", done, err)
			}
			if tokens, err := o.tokens().Tokens(t.Context(), "lake"); err != nil || len(tokens) != 0 {
				t.Errorf("tokens %v, %v", tokens, err)
			}
			o.wantState(t, waiting, waybill.StateCancelled)
			if purge {
				if len(done) != 2 || change(done[1], v1).Effect != waybill.EffectErased || change(done[1], v1).Files != 1 {
					t.Errorf("receipts %+v", done)
				}
			} else {
				o.wantTitles(t, "kept", map[string]string{v1: "a1"})
				if err := o.Resume(t.Context()); err != nil { // its time is not over
					t.Fatal(err)
				}
				o.wantTitles(t, "kept", map[string]string{v1: "a1"})
				if _, err := o.Delete(t.Context(), who, "lake", false); !errors.Is(err, waybill.ErrNotFound) {
					t.Errorf("deleted again: %v", err)
				}
				if done, err := o.Delete(t.Context(), who, "lake", true); err != nil || len(done) != 1 || done[0].Operation != waybill.OperationPurge {
					t.Errorf("purged later: %+v, %v", done, err)
				}
			}
			if names := o.names(t); len(names) != 0 {
				t.Errorf("left are %v", names)
			}
			if done := o.receipts(t); len(done) != 2 {
				t.Errorf("receipts %+v", done)
			}
			if _, err := o.Delete(t.Context(), who, "lake", true); !errors.Is(err, waybill.ErrNotFound) {
				t.Errorf("there is nothing left: %v", err)
			}
		})
	}
}

func TestSchedulersEraseADeletedConnectorsDataWhenItsTimeIsOver(t *testing.T) {
	o := setupOperated(t)
	o.publish(t, o.run(1, schemaA, `{"Title":"a1"}`))
	o.Keep = time.Nanosecond
	if _, err := o.Delete(t.Context(), who, "lake", false); err != nil {
		t.Fatal(err)
	}
	if err := o.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if names := o.names(t); len(names) != 0 {
		t.Errorf("left are %v", names)
	}
	if err := o.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}
