//go:build interop

package sharing_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

// seen is what the client of testdata/client.py found.
type seen struct {
	Shares  []string         `json:"shares"`
	Tables  []string         `json:"tables"`
	Rows    []map[string]any `json:"rows"`
	Limited int              `json:"limited"`
	Old     int              `json:"old"`
	Version int              `json:"version"`
	Hinted  []string         `json:"hinted"`
}

// client runs the protocol's own Python client against a profile.
func (r *rig) client(t *testing.T, bearer string) (seen, error) {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile.share")
	text, err := json.Marshal(sharing.NewProfile(r.http.URL+"/delta", bearer, sharing.Token{ExpiresAt: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(profile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	python, err := filepath.Abs("../../.tools/interop-sharing/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatal("the client is not installed; run: make interop-sharing")
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, "testdata/client.py", profile)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return seen{}, fmt.Errorf("%w: %s", err, errs.String())
	}
	var s seen
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%s: %v", out.String(), err)
	}
	return s, nil
}

func TestForeignClientReadsAShare(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) storage.Store{
		"folder": func(t *testing.T) storage.Store { return folder(t) },
		"s3":     bucket,
	} {
		t.Run(name, func(t *testing.T) {
			r := cities(t, open(t))
			r.show(t, "wf_cities", 1, false)
			got, err := r.client(t, r.bearer)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got.Shares) != "[acme-lake]" || fmt.Sprint(got.Tables) != "[acme-lake.kadoa.WF_CITIES__V1 acme-lake.kadoa.WORKFLOW_SCHEMA_VERSIONS]" {
				t.Errorf("it lists %v, %v", got.Shares, got.Tables)
			}
			var rows string
			for _, row := range got.Rows {
				rows += fmt.Sprint(row["CITY"], " ", row["PEOPLE"], " ", row["KADOA_JOB_ID"], " ", row["KADOA_RUN_FINISHED_AT"], "\n")
			}
			if want := "Aachen 100 job-Aachen 2025-03-01T10:30:00+00:00\nAachen-2 <nil> job-Aachen 2025-03-01T10:30:00+00:00\n" +
				"Berlin 200 job-Berlin 2025-03-01T10:30:00+00:00\nBerlin-2 <nil> job-Berlin 2025-03-01T10:30:00+00:00\n" +
				"Cottbus 300 job-Cottbus 2025-03-01T10:30:00+00:00\nCottbus-2 <nil> job-Cottbus 2025-03-01T10:30:00+00:00\n"; rows != want {
				t.Errorf("it reads\n%swant\n%s", rows, want)
			}
			if got.Limited != 3 || got.Old != 2 || got.Version != 3 || fmt.Sprint(got.Hinted) != "[Berlin Berlin-2]" {
				t.Errorf("limited to %d rows, %d rows at version 1, version %d, with a hint %v", got.Limited, got.Old, got.Version, got.Hinted)
			}

			// Wrong, expired and revoked tokens.
			if _, err := r.client(t, r.bearer+"x"); err == nil {
				t.Error("a wrong token is taken")
			}
			r.skew = 25 * time.Hour
			if _, err := r.client(t, r.bearer); err == nil {
				t.Error("an expired token is taken")
			}
			r.skew = 0
			if _, err := r.book.Revoke(t.Context(), connector); err != nil {
				t.Fatal(err)
			}
			if _, err := r.client(t, r.bearer); err == nil {
				t.Error("a revoked token is taken")
			}
		})
	}
}
