package snowflake

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/testservers"
)

func TestAKeyIsReplacedWhileTheOtherIsUsed(t *testing.T) {
	w := newWorld(t)
	other := testservers.NewKey()
	cfg := w.config()
	cfg.NextPrivateKey = pemOf(other)
	w.account = w.open(cfg)
	w.dest = w.connector("acme", target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1"))
	ask := func() error {
		w.EndSessions("WAYBILL")
		_, err := w.dest.identity(t.Context())
		return err
	}
	for _, step := range []struct {
		name          string
		first, second bool // the keys that Snowflake has
		ok            bool
	}{{"the first", true, false, true}, {"both", true, true, true}, {"the second", false, true, true}, {"the first again", true, false, true}, {"neither", false, false, false}} {
		for slot, set := range []bool{step.first, step.second} {
			public := &testservers.Key().PublicKey
			if slot == 1 {
				public = &other.PublicKey
			}
			if !set {
				public = nil
			}
			w.provider.SetKey("WAYBILL", slot+1, public)
		}
		err := ask()
		if (err == nil) != step.ok || !step.ok && codeOf(err) != "snowflake.bad_key" {
			t.Errorf("Snowflake has %s: %v", step.name, err)
		}
	}
}

func TestAnOAuthTokenIsReadAtEachLogin(t *testing.T) {
	w := newWorld(t)
	w.provider.SetToken("WAYBILL", "first", true)
	token := "first"
	cfg := w.config()
	cfg.Auth, cfg.Token = AuthOAuth, func(context.Context) (string, error) { return token, nil }
	w.account = w.open(cfg)
	w.dest = w.connector("acme", target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1"))
	if _, err := w.dest.identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.provider.SetToken("WAYBILL", "first", false)
	w.EndSessions("WAYBILL")
	if _, err := w.dest.identity(t.Context()); codeOf(err) != "snowflake.bad_token" || strings.Contains(err.Error(), "first") {
		t.Errorf("a token that is no longer valid: %v", err)
	}
	w.provider.SetToken("WAYBILL", "second", true)
	token = "second"
	if _, err := w.dest.identity(t.Context()); err != nil {
		t.Errorf("the next token: %v", err)
	}
}

func TestASessionThatEndsCostsAtMostAnAttempt(t *testing.T) {
	w := newWorld(t)
	w.setup()
	for _, effect := range []fakes.Effect{fakes.End, fakes.Expire, fakes.Drop} {
		for _, match := range []string{"DECLARE", "COPY INTO", "SHOW GRANTS"} {
			fault := w.Inject(fakes.Fault{Match: match, Do: effect})
			r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())
			err := w.attempt(t.Context(), r, s)
			if f := waybill.At(waybill.StageLoad, err); f != nil && f.Verdict != waybill.Transient {
				t.Errorf("effect %d on %s: %v", effect, match, err)
			}
			<-fault.Reached()
			w.deliver(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"))
		}
	}
	w.EndSessions("WAYBILL") // between two statements nobody notices
	w.deliver(simple("wf_shop", "job2", 1, 3, "2025-01-17T06:00:00Z"))
	w.wants(w.analyst(), `SELECT JOB_ID, ROW_COUNT FROM KADOA.SHARED.WORKFLOW_RUNS ORDER BY JOB_ID`, "job1|3", "job2|3")
}

func TestALostAnswerToCommitDoublesNothing(t *testing.T) {
	w := newWorld(t)
	w.setup()
	customer := w.analyst()
	r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())
	if err := w.dest.Evolve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, inner := range []string{"COMMIT", "DROP TABLE"} {
		w.Inject(fakes.Fault{Match: inner, Inner: true, After: true, Do: fakes.Fail, Number: 604, State: "57014", Message: "cancelled"})
		if err := w.dest.Load(t.Context(), r, s); err == nil {
			t.Fatalf("a fault after %s went unnoticed", inner)
		}
	}
	for range 2 {
		if err := w.dest.Load(t.Context(), r, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dest.Share(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.Inject(fakes.Fault{Match: "COMMIT", Inner: true, After: true, Do: fakes.Fail, Number: 604, State: "57014", Message: "cancelled"})
	if _, err := w.dest.Publish(t.Context(), r, RouteDirect); codeOf(err) != "snowflake.cancelled" {
		t.Fatalf("a fault after COMMIT: %v", err)
	}
	for range 2 {
		if _, err := w.dest.Publish(t.Context(), r, RouteDirect); err != nil {
			t.Fatal(err)
		}
	}
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "3")
	w.wants(customer, `SELECT COUNT(*) FROM KADOA.SHARED.WORKFLOW_RUNS`, "1")
}

func TestAClientThatDiesInABlockLeavesNothingLocked(t *testing.T) {
	w := newWorld(t)
	w.setup()
	r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())
	if err := w.dest.Evolve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	doomed := w.open(w.config())
	dest, err := doomed.Connector(Connector{ID: "acme", Team: "team1", Brand: "kadoa", Target: w.dest.target})
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	fault := w.Inject(fakes.Fault{Match: "INSERT INTO", Inner: true, After: true, Hold: true, Do: fakes.Lose})
	done := make(chan error)
	go func() { done <- dest.Load(ctx, r, s) }()
	<-fault.Reached()
	kill()
	fault.Release()
	if err := <-done; err == nil {
		t.Error("a client that was killed reports success")
	}
	w.deliver(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"))
	if open := w.OpenTransactions(); open != 0 {
		t.Errorf("%d transactions stay open", open)
	}
}

func TestFaultsOfTheAccountNameWhoMendsThem(t *testing.T) {
	w := newWorld(t)
	w.setup()
	r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())

	w.provider.SuspendWarehouse("DELIVERY", true)
	err := w.attempt(t.Context(), r, s)
	if f := waybill.At(waybill.StageLoad, err); f == nil || f.Verdict != waybill.Blocked || f.Code != "snowflake.no_warehouse" {
		t.Errorf("a suspended warehouse: %v", err)
	}
	w.provider.SuspendWarehouse("DELIVERY", false)

	w.Inject(fakes.Fault{Match: "DECLARE", Do: fakes.Fail, Number: 625, State: "57014", Message: "too many waiters"})
	if f := waybill.At(waybill.StageLoad, w.attempt(t.Context(), r, s)); f == nil || f.Verdict != waybill.Throttled || f.After == 0 {
		t.Errorf("too many waiters: %v", f)
	}

	w.provider.Revoke("WAYBILL", "CREATE SHARE")
	_, err = w.connector("second", w.dest.target).Setup(t.Context())
	if f := waybill.At(waybill.StageShare, err); f == nil || f.Code != "snowflake.privilege" || !strings.Contains(f.Action, `GRANT CREATE SHARE ON ACCOUNT TO ROLE "WAYBILL"`) {
		t.Errorf("a role without a privilege: %v", err)
	}
	if err := w.attempt(t.Context(), r, s); err != nil {
		t.Errorf("all mended: %v", err)
	}
}

func TestAFileThatIsNotWhatItsWriterCountedIsNotLoaded(t *testing.T) {
	w := newWorld(t)
	w.setup()
	for name, spoil := range map[string]func(*Run, *Staged){
		"rows":    func(r *Run, _ *Staged) { r.Conversion.Rows++ },
		"values":  func(r *Run, _ *Staged) { r.Conversion.Fields[1].NonNull-- },
		"no file": func(_ *Run, s *Staged) { s.Files = []string{"none.parquet"} },
		"a column that the file has not": func(r *Run, _ *Staged) {
			r.SchemaVersion = 2
			r.Schema.Fields[1].Name = "m"
			r.Conversion.Fields[1].Name = "m"
		},
	} {
		r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())
		spoil(&r, &s)
		if err := w.load(t.Context(), r, s); err == nil || !strings.HasPrefix(codeOf(err), "snowflake.") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.publish(t.Context(), r); err == nil {
			t.Errorf("%s: it is published all the same", name)
		}
	}
}

func TestFilesAreStagedInSnowflakeItselfWhereThereIsNoBucket(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Stage = Stage{}
	w.account = w.open(cfg)
	w.dest = w.connector("acme", target(t, "ACMEORG", "PROD_ANALYTICS", "us-east-1"))
	w.setup()
	r, s := w.run(simple("wf_shop", "job1", 1, 3, "2025-01-16T06:00:00Z"), w.next())
	file := filepath.Join(w.ingest, w.dest.Database, filepath.FromSlash(s.Path), "data.parquet")
	if _, err := os.Stat(file); err != nil || w.dest.StageURL() != "" {
		t.Fatalf("%v; the stage's URL is %q", err, w.dest.StageURL())
	}
	for range 2 {
		if err := w.dest.Put(t.Context(), file, s.Path); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.attempt(t.Context(), r, s); err != nil {
		t.Fatal(err)
	}
	w.wants(w.analyst(), `SELECT COUNT(*) FROM KADOA.SHARED.WF_SHOP__V1`, "3")
}
