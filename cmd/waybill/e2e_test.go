package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/storage"
)

// contributions writes n runs that share the bundled records, and returns
// their files as arguments.
func (f *fleet) contributions(t *testing.T, n int) (args []string) {
	t.Helper()
	text, err := os.ReadFile("../sandbox/testdata/runs/contributions.run.json")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Abs("../sandbox/testdata/runs/contributions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		run := strings.NewReplacer("job_20250118_01", fmt.Sprintf("job_%04d", i), `"contributions.jsonl"`, fmt.Sprintf("%q", records)).Replace(string(text))
		args = append(args, "-f", f.write(t, fmt.Sprintf("run-%04d.json", i), run))
	}
	return args
}

// The guarantee of the main job: 500 runs, two workers, one of them killed on
// the way; every run arrives whole, once, and the history says so.
func TestFiveHundredRunsArriveAlthoughAWorkerIsKilled(t *testing.T) {
	const runs = 500
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")+"maxInFlight: 16\n"))
	f.start(t, "scheduler")
	victim := f.start(t, "worker", "--queues", "export=4")
	f.start(t, "worker", "--queues", "export=4")

	args := f.contributions(t, runs)
	f.ok(t, append([]string{"run", "submit"}, args...)...)
	f.ok(t, append([]string{"run", "submit"}, args[:20]...)...) // a producer that retries

	f.await(t, waybill.StateComplete, 50, time.Minute)
	if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.await(t, waybill.StateComplete, runs, 2*time.Minute)

	all := f.deliveries(t)
	if len(all) != runs {
		t.Errorf("%d deliveries, want %d", len(all), runs)
	}
	bucket := f.bucket(t)
	objects := 0
	for o, err := range bucket.List(t.Context(), "kadoa/") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
		if strings.HasSuffix(o.Key, "/"+handlers.ManifestName) {
			wantManifestTrue(t, bucket, o.Key)
		}
	}
	if want := runs * 4; objects != want {
		t.Errorf("%d objects, want %d: three files and a manifest for each run", objects, want)
	}
}

// With a log that is synced at every write, what was acknowledged survives a
// Redis that is killed; workers and schedulers go on by themselves.
func TestARedisThatIsKilledLosesNothing(t *testing.T) {
	const runs = 60
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.start(t, "scheduler")
	f.start(t, "worker", "--queues", "export=2")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, runs)...)...)
	f.await(t, waybill.StateComplete, 5, time.Minute)
	f.redis.Kill()
	time.Sleep(2 * time.Second)
	f.redis.Start(t)
	f.await(t, waybill.StateComplete, runs, time.Minute)
	for _, d := range f.deliveries(t) {
		var shown struct {
			History []waybill.Event
		}
		if err := json.Unmarshal([]byte(f.ok(t, "delivery", "show", "--json", d.ID)), &shown); err != nil {
			t.Fatal(err)
		}
		completions := 0
		for _, e := range shown.History {
			if e.What == "complete" {
				completions++
			}
		}
		if completions != 1 {
			t.Errorf("delivery %s was completed %d times", d.ID, completions)
		}
	}
}

// wantManifestTrue holds a manifest against the objects beside it.
func wantManifestTrue(t *testing.T, bucket storage.Store, key string) {
	t.Helper()
	var m handlers.Manifest
	if err := json.Unmarshal(read(t, bucket, key), &m); err != nil {
		t.Fatal(err)
	}
	if m.State != "complete" || m.Rows != 58 || len(m.Files) != 3 {
		t.Errorf("%s: %+v", key, m)
	}
	for _, file := range m.Files {
		content := read(t, bucket, strings.TrimSuffix(key, handlers.ManifestName)+file.Name)
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != file.SHA256 || int64(len(content)) != file.Bytes {
			t.Errorf("%s is not what its manifest says", file.Name)
		}
	}
}

func read(t *testing.T, bucket storage.Store, key string) []byte {
	t.Helper()
	body, _, err := bucket.Get(t.Context(), key, storage.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestABlockedDeliveryGoesOnWhenItsCauseIsMended(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "a.yaml", f.connector("acme-lake", "no-such-bucket", "env:CUSTOMER_SECRET")))
	f.start(t, "scheduler")
	f.start(t, "worker")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 1)...)...)
	d := f.await(t, waybill.StateBlocked, 1, 30*time.Second)[0]
	if d.Stage != waybill.StageStage || d.Code != "storage.no_bucket" || !strings.Contains(d.Action, "no-such-bucket") {
		t.Errorf("%+v", d)
	}
	if _, stderr, err := f.cli(t, "delivery", "watch", d.ID); err == nil || !strings.Contains(stderr, d.Action) {
		t.Errorf("watching a blocked delivery: %v %s", err, stderr)
	}
	out := f.ok(t, "connector", "apply", "-f", f.write(t, "a.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	if !strings.Contains(out, "1 blocked deliveries are on their way again") {
		t.Errorf("applied: %s", out)
	}
	if out := f.ok(t, "delivery", "watch", d.ID); !strings.Contains(out, "complete") {
		t.Errorf("watched %s", out)
	}
	before := f.keys(t)
	f.ok(t, "connector", "delete", "acme-lake")
	if after := f.keys(t); len(before) != 4 || !slices.Equal(before, after) {
		t.Errorf("deleting the connector changed what was delivered: %v before, %v after", before, after)
	}
	if shown := f.ok(t, "delivery", "show", d.ID); !strings.Contains(shown, "data.parquet") || !strings.Contains(shown, "storage.no_bucket") {
		t.Errorf("shown %s", shown)
	}
}

func TestWhatAnOperatorDoesWithAConnector(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "a.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")))
	f.ok(t, "connector", "pause", "acme-lake", "--reason", "the customer moves its bucket")
	if out := f.ok(t, "connector", "list"); !strings.Contains(out, "the customer moves its bucket") {
		t.Errorf("listed %s", out)
	}
	f.start(t, "scheduler")
	f.start(t, "worker")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 2)...)...)
	waiting := f.await(t, waybill.StateWaiting, 2, 30*time.Second)
	if out := f.ok(t, "delivery", "cancel", waiting[0].ID); !strings.Contains(out, "is cancelled") {
		t.Errorf("cancelled: %s", out)
	}
	if out := f.ok(t, "connector", "resume", "acme-lake"); !strings.Contains(out, "acme-lake going on") {
		t.Errorf("resumed: %s", out)
	}
	f.await(t, waybill.StateComplete, 1, 30*time.Second)
	if d := f.await(t, waybill.StateCancelled, 1, time.Second); d[0].ID != waiting[0].ID {
		t.Errorf("cancelled is %s, want %s", d[0].ID, waiting[0].ID)
	}
	if _, stderr, err := f.cli(t, "delivery", "retry"); err == nil || !strings.Contains(stderr, "--state failed") {
		t.Errorf("retrying nothing in particular: %v %s", err, stderr)
	}
	if out := f.ok(t, "delivery", "retry", "--state", "failed", "--connector", "acme-lake"); !strings.Contains(out, "0 deliveries") {
		t.Errorf("retried %s", out)
	}
	// A whole destination holds back every connector that is there.
	f.ok(t, "connector", "pause", "--destination", "s3")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 3)[4:]...)...)
	f.await(t, waybill.StateWaiting, 1, 30*time.Second)
	f.ok(t, "connector", "resume", "--destination", "s3")
	f.await(t, waybill.StateComplete, 2, 30*time.Second)
}

// keys are the customer's objects.
func (f *fleet) keys(t *testing.T) (keys []string) {
	t.Helper()
	for o, err := range f.bucket(t).List(t.Context(), "kadoa/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func TestAWrongSecretIsBlockedAndNeverPrinted(t *testing.T) {
	f := newFleet(t)
	f.ok(t, "connector", "apply", "-f", f.write(t, "a.yaml", f.connector("acme-lake", bucketName, "env:WRONG_SECRET")))
	f.start(t, "scheduler")
	worker := f.start(t, "worker")
	f.ok(t, append([]string{"run", "submit"}, f.contributions(t, 1)...)...)
	d := f.await(t, waybill.StateBlocked, 1, 30*time.Second)[0]
	stdout, stderr, err := f.cli(t, "connector", "check", "acme-lake")
	if err == nil || !strings.Contains(stdout, "failed  write: ") {
		t.Errorf("check: %v\n%s%s", err, stdout, stderr)
	}
	stop(t, worker)
	for name, text := range map[string]string{"log": worker.log.String(), "history": fmt.Sprint(d), "check": stdout + stderr,
		"show": f.ok(t, "connector", "show", "acme-lake"), "delivery": f.ok(t, "delivery", "show", "--json", d.ID)} {
		if strings.Contains(text, "not-the-secret-key") {
			t.Errorf("the secret stands in the %s: %s", name, text)
		}
	}
}

// stop asks a process to end and waits for it.
func stop(t *testing.T, p *process) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("SIGTERM ended it with %v", err)
	}
}

func TestConnectorCommands(t *testing.T) {
	f := newFleet(t)
	file := f.write(t, "lake.yaml", f.connector("acme-lake", bucketName, "env:CUSTOMER_SECRET")+"---\n"+f.connector("acme-lake-2", bucketName, "env:CUSTOMER_SECRET"))
	for _, want := range []string{"acme-lake created\nacme-lake-2 created\n", "acme-lake unchanged\nacme-lake-2 unchanged\n"} {
		if got := f.ok(t, "connector", "apply", "-f", file); got != want {
			t.Errorf("apply says %q, want %q", got, want)
		}
	}
	if got := f.ok(t, "connector", "list"); strings.Count(got, "\n") != 3 || !strings.Contains(got, "s3://customer/exports") {
		t.Errorf("list says\n%s", got)
	}
	shown := f.ok(t, "connector", "show", "acme-lake")
	if !strings.Contains(shown, "secretAccessKey: env:CUSTOMER_SECRET") || strings.Contains(shown, f.s3.SecretKey) {
		t.Errorf("show says\n%s", shown)
	}
	if got := f.ok(t, "connector", "check", "acme-lake"); strings.Count(got, "ok  ") != 6 {
		t.Errorf("check says\n%s", got)
	}
	f.ok(t, "connector", "delete", "acme-lake")
	for args, want := range map[string]string{
		"connector show acme-lake":     "not found",
		"connector delete acme-lake":   "not found",
		"connector apply -f " + file:   "never used again",
		"connector show nobody":        "not found",
		"delivery show d00-x":          "not a delivery id",
		"delivery retry nothing":       "not a delivery id",
		"delivery list --state done":   "--state: ",
		"delivery list --since sunday": "--since",
		"worker --queues exprot=1":     `queue "exprot" does not exist`,
		"worker --queues export":       "--queues",
	} {
		if _, stderr, err := f.cli(t, strings.Fields(args)...); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("waybill %s: %v, says %q; want %q in it", args, err, stderr, want)
		}
	}
}

func TestRunSubmitRefusals(t *testing.T) {
	f := newFleet(t)
	args := f.contributions(t, 1)
	if got := f.ok(t, append([]string{"run", "submit"}, args...)...); !strings.Contains(got, "new: generation 1, schema version V1") {
		t.Errorf("submit says %q", got)
	}
	text, err := os.ReadFile(args[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, now, want string }{
		"other content": {`"rowCount": 58`, `"rowCount": 57`, "was handed in before with another rowCount; set replace to true"},
		"not finished":  {`"FINISHED"`, `"IN_PROGRESS"`, "state: is IN_PROGRESS"},
		"unknown key":   {`"rowCount"`, `"rows": 1, "rowCount"`, `"rows": is not a key here`},
		"climbing id":   {`"wf_contributions"`, `"../x"`, "workflowId: "},
	} {
		file := f.write(t, "bad.json", strings.Replace(string(text), c.old, c.now, 1))
		if _, stderr, err := f.cli(t, "run", "submit", "-f", file); err == nil || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %v, says %q; want %q in it", name, err, stderr, c.want)
		}
	}
	file := f.write(t, "other.json", strings.Replace(string(text), `"rowCount": 58`, `"rowCount": 57`, 1))
	if got := f.ok(t, "run", "submit", "--replace", "-f", file); !strings.Contains(got, "replaced: generation 2") {
		t.Errorf("replace says %q", got)
	}
}

func TestConvertGivesTheSameBytesWhateverTheCores(t *testing.T) {
	f := &fleet{dir: t.TempDir(), env: os.Environ()}
	const runs = "../sandbox/testdata/runs/"
	files := []string{"data.parquet", "data.jsonl", "data.csv", "data.json"}
	var want []string
	for _, cpus := range []string{"1", "2", "3", "8", "1"} {
		out := filepath.Join(f.dir, "out")
		f.ok(t, "convert", "--schema", runs+"movies.run.json", "--in", runs+"movies.jsonl", "--out", out, "--formats", "parquet,jsonl,csv,json", "--cpus", cpus)
		var got []string
		for _, name := range files {
			content, err := os.ReadFile(filepath.Join(out, name))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(content)
			got = append(got, name+" "+hex.EncodeToString(sum[:]))
		}
		if want == nil {
			want = got
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("with %s cores %v, want %v", cpus, got, want)
		}
	}
	_, stderr, err := f.cli(t, "convert", "--schema", runs+"movies.run.json", "--in", "nowhere.jsonl", "--out", filepath.Join(f.dir, "none"))
	if err == nil || !strings.Contains(stderr, "nowhere.jsonl") {
		t.Errorf("a missing file: %v %s", err, stderr)
	}
}

func TestProcessesShowThemselves(t *testing.T) {
	f := newFleet(t)
	scheduler, worker := f.start(t, "scheduler"), f.start(t, "worker")
	for url, want := range map[string]string{
		worker.addr + "/metrics":    `waybill_deliveries_total{outcome="failed",stage="stage",task="export.push"} 0`,
		scheduler.addr + "/metrics": `waybill_queue_tasks{queue="export",state="pending"} 0`,
		scheduler.addr + "/queues/": "<html",
		scheduler.addr + "/":        "<html",
		scheduler.addr + "/healthz": "",
	} {
		if status, body := get(t, "http://"+url); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s answers %d, without %q:\n%s", url, status, want, tail(body, 2000))
		}
	}
	f.redis.Kill()
	if status, body := get(t, "http://"+worker.addr+"/healthz"); status != 503 || !strings.Contains(body, "redis") {
		t.Errorf("without Redis: %d %s", status, body)
	}
	if status, body := get(t, "http://"+scheduler.addr+"/metrics"); status != 200 || !strings.Contains(body, "waybill_queue_scrape_errors_total 1") {
		t.Errorf("a scrape without Redis: %d %s", status, tail(body, 500))
	}
	f.redis.Start(t)
	stop(t, worker)
	stop(t, scheduler)
}

func TestTheImageIsBuiltWithoutCgo(t *testing.T) {
	out, err := exec.Command("go", "version", "-m", program).Output()
	if err != nil || !strings.Contains(string(out), "CGO_ENABLED=0") {
		t.Errorf("%v\n%s", err, out)
	}
}
