package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestConnectorPolicyAndExternalID(t *testing.T) {
	f := newFleet(t)
	role := `id: acme-role
team: ` + team + `
kind: storage
storage: {url: s3://acme-bucket, region: eu-central-1, formats: [parquet], access: {roleArn: "arn:aws:iam::123456789012:role/waybill"}}
`
	file := f.write(t, "role.yaml", role)
	f.ok(t, "connector", "apply", "-f", file)
	shown := f.ok(t, "connector", "show", "acme-role")
	id := regexp.MustCompile(`(?m)^# externalId: (waybill-[A-Z2-7]{26})$`).FindStringSubmatch(shown)
	if id == nil {
		t.Fatalf("show says\n%s", shown)
	}
	// What is shown can be applied, and the external id stays.
	if got := f.ok(t, "connector", "apply", "-f", f.write(t, "shown.yaml", shown)); got != "acme-role unchanged\n" {
		t.Errorf("applying what is shown says %q", got)
	}
	f.ok(t, "connector", "apply", "-f", f.write(t, "role.yaml", strings.Replace(role, "role/waybill", "role/other", 1)))
	policy := f.ok(t, "connector", "check", "--policy", "--aws-principal", "arn:aws:iam::999999999999:role/waybill", "acme-role")
	for _, want := range []string{`"sts:ExternalId": "` + id[1] + `"`, `"AWS": "arn:aws:iam::999999999999:role/waybill"`, "role/other", "s3:PutObject"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q is not in the policy\n%s", want, policy)
		}
	}
	if _, stderr, err := f.cli(t, "connector", "apply", "-f", f.write(t, "forged.yaml", role+"externalId: waybill-MINE\n")); err == nil || !strings.Contains(stderr, "externalId: is not a key here") {
		t.Errorf("an external id of a person's: %v %s", err, stderr)
	}
}

func TestConnectorSQL(t *testing.T) {
	f := newFleet(t)
	connector := "id: acme-lake\nteam: " + team + "\nkind: storage\nstorage: {url: s3://acme-bucket/in, region: eu-central-1, formats: [parquet, csv]}\n"
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", connector))
	f.ok(t, "connector", "apply", "-f", f.write(t, "folder.yaml", "id: local\nteam: "+team+"\nkind: storage\nstorage: {url: \"file://"+f.dir+"\", formats: [csv]}\n"))
	for args, want := range map[string]string{
		"connector sql acme-lake":                "--workflow: is missing",
		"connector sql acme-lake --for oracle":   "--for: \"oracle\" is not a warehouse; use one of snowflake, bigquery, redshift, databricks",
		"connector sql acme-lake --workflow a/b": "--workflow: \"a/b\" is not a workflow's id",
		"connector sql local --workflow wf_a":    "there is no warehouse that reads this connector's store",
		"connector sql nobody --workflow wf_a":   "not found",
	} {
		if _, stderr, err := f.cli(t, strings.Fields(args)...); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("waybill %s: %v, says %q; want %q in it", args, err, stderr, want)
		}
	}
	if got := f.ok(t, "connector", "sql", "acme-lake", "--for", "snowflake", "--workflow", "wf_contributions"); !strings.Contains(got, "No run of the workflow is known yet") {
		t.Errorf("before a run: %s", got)
	}
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 1)...)...)
	run, err := os.ReadFile(filepath.Join(f.dir, "run-0000.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := f.ok(t, "connector", "sql", "acme-lake", "--for", "snowflake", "--workflow", "wf_contributions")
	for _, m := range regexp.MustCompile(`"name":\s*"([A-Za-z0-9_]+)"`).FindAllStringSubmatch(string(run), -1) {
		if !strings.Contains(got, `"`+m[1]+`" `) {
			t.Errorf("the column %s is not in\n%s", m[1], got)
		}
	}
	all := f.ok(t, "connector", "sql", "acme-lake", "--workflow", "wf_contributions")
	for _, want := range []string{"-- snowflake\n", "-- bigquery\n", "-- redshift\n", "-- databricks\n", "V1"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
}
