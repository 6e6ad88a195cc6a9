package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

func noEnv(string) (string, bool) { return "", false }

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func ref(t *testing.T, text string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGoodFiles(t *testing.T) {
	full := Config{
		Brand: "acme",
		Redis: Redis{URL: "rediss://waybill@redis.example:6380/2", Password: ref(t, "env:REDIS_PASSWORD"), TLS: TLS{CA: "/etc/waybill/ca.pem"}},
		Bucket: Bucket{URL: "s3://waybill-internal/own", S3: S3{
			Region: "eu-central-1", Endpoint: "https://objects.example:9000", PathStyle: true,
			AccessKeyID: ref(t, "env:BUCKET_ID"), SecretAccessKey: ref(t, "file:/run/secrets/bucket"),
		}},
		Sources: Sources{
			Allow:    []string{"s3://runs/{teamId}/", "gs://archive/v1/{teamId}/runs/", "azblob://runs/{teamId}/", "https://api.platform.example/v4/workflows/"},
			GCS:      GCS{Impersonate: "reader@runs.iam.gserviceaccount.com"},
			Azure:    Azure{Account: "acmeruns", SAS: ref(t, "file:/run/secrets/sas")},
			FileRoot: "/srv/runs", S3: S3{Region: "eu-west-1"},
		},
		Platform: Platform{URL: "https://api.platform.example", APIKey: ref(t, "env:PLATFORM_KEY")},
		Network:  Network{Allow: []string{"10.20.0.0/16", "minio.internal:9000"}},
		Limits:   Limits{MaxInFlight: 8, MaxFailures: 5, LargestRecord: 16 << 20, Nesting: 32, Expansion: 50, ExpansionFloor: 2 << 30, APIRequests: 50, APIBody: 1 << 20},
		Times: Times{Lease: 20 * time.Second, Sweep: 1500 * time.Millisecond, Stall: 10 * time.Minute, Activity: time.Minute, Retention: 1440 * time.Hour,
			TokenLifetime: Default().Times.TokenLifetime, RotationOverlap: Default().Times.RotationOverlap, KeepDeleted: Lifetime(60 * day)},
		Log: Log{Level: "debug", Format: "text"},
	}
	sentinel, cluster, folder, json, plain, warehouses := Default(), Default(), Default(), Default(), Default(), Default()
	sentinel.Redis = Redis{
		Username: "waybill", Password: ref(t, "env:REDIS_PASSWORD"), TLS: TLS{Enabled: true, ServerName: "redis.internal"},
		WaitReplicas: 2, AllowUnsafe: []string{UnsafeNoAOF},
		Sentinel: Sentinel{
			Master: "waybill", Addrs: []string{"10.0.0.1:26379", "10.0.0.2:26379", "[::1]:26379"}, DB: 3,
			Username: "watcher", Password: ref(t, "env:SENTINEL_PASSWORD"),
		},
	}
	cluster.Redis.Cluster.Addrs = []string{"redis-0:6379", "redis-1:6379"}
	folder.Bucket.URL, folder.Log.Level = "file:///var/lib/waybill", "warn"
	json.Brand, json.Redis.URL, json.Limits.LargestRecord = "acme", "redis://localhost", 1<<20
	plain.Sources.Allow = []string{"http://127.0.0.1:8080/v4/", "https://api.example/{teamId}/"}
	plain.Platform.URL = "http://api.internal/v4"
	plain.Network.Allow = []string{"http://127.0.0.1:8080", "http://API.internal:80", "10.0.0.0/8"}
	warehouses.Snowflake = Snowflake{Account: "OURORG-PROVIDER", Region: "US East 1", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY",
		PrivateKey: ref(t, "file:/run/secrets/sf.p8"), NextPrivateKey: ref(t, "file:/run/secrets/sf-next.p8"),
		Stage: Stage{Integration: "WAYBILL_S3", URL: "s3://waybill-ingest/", S3: S3{Region: "us-east-1"}}}
	warehouses.Databricks = Databricks{Host: "https://our.cloud.databricks.com", Auth: "oauth-m2m", ClientID: ref(t, "env:DBX_ID"), ClientSecret: ref(t, "env:DBX_SECRET"),
		Catalog: "waybill", WarehouseID: "abc", Owner: "waybill-owners", Tables: Tables{Storage: "s3://waybill-delta/", S3: S3{Region: "us-east-1"}}}
	warehouses.Sharing = Sharing{URL: "https://share.example/delta", Tables: Tables{Storage: "azblob://delta/",
		Azure: Azure{Account: "wbdelta", ManagedIdentity: "11111111-2222-4333-8444-555555555555"}}}
	warehouses.Times.TokenLifetime, warehouses.Times.RotationOverlap = Lifetime(30*day), Lifetime(36*time.Hour)
	want := map[string]Config{
		"warehouses": warehouses, "full": full, "empty": Default(), "sentinel": sentinel, "cluster": cluster, "folder": folder, "json": json, "plain-http": plain,
	}
	files := glob(t, "testdata/*.good.yml")
	if len(files) != len(want) {
		t.Errorf("%d good files, %d expectations", len(files), len(want))
	}
	for _, file := range files {
		got, err := Load(file, noEnv)
		if name := strings.TrimSuffix(filepath.Base(file), ".good.yml"); err != nil || !reflect.DeepEqual(got, want[name]) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", file, err, got, want[name])
		}
	}
}

// Each bad file says in its first lines, after "# want: ", every problem that
// is reported of it, in order.
func TestBadFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/*.bad.yml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if w, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSpace(w))
				}
			}
			_, err = Load(file, noEnv)
			problems, ok := err.(waybill.Problems)
			if !ok {
				t.Fatalf("error is %T: %v", err, err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.Field+": "+p.Message)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func TestEveryProblemSaysHowToMendIt(t *testing.T) {
	c := Config{}
	for _, p := range c.Validate(NeedBucket) {
		if len(strings.Fields(p.Message)) < 5 {
			t.Errorf("%s: %s", p.Field, p.Message)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	if p := Default().Validate(); p != nil {
		t.Error(p)
	}
	if p := Default().Validate(NeedBucket); len(p) != 1 || p[0].Field != "bucket.url" {
		t.Errorf("a needed bucket gives %v", p)
	}
}

func TestVariablesOverrideTheFile(t *testing.T) {
	got, err := Load("testdata/full.good.yml", env(map[string]string{
		"WAYBILL_REDIS_URL":             "redis://other:6379/1",
		"WAYBILL_REDIS_TLS_CA":          "",
		"WAYBILL_REDIS_WAIT_REPLICAS":   "0",
		"WAYBILL_REDIS_ALLOW_UNSAFE":    "no-aof, eviction",
		"WAYBILL_BUCKET_ACCESS_KEY_ID":  "file:/run/secrets/id",
		"WAYBILL_BUCKET_PATH_STYLE":     "false",
		"WAYBILL_SOURCES_ALLOW":         "s3://a/{teamId}/, s3://b/{teamId}/",
		"WAYBILL_SOURCES_S3_REGION":     "us-east-1",
		"WAYBILL_LIMITS_MAX_IN_FLIGHT":  "2",
		"WAYBILL_LIMITS_LARGEST_RECORD": "1 GiB",
		"WAYBILL_TIMES_LEASE":           "1m",
		"WAYBILL_SERVICE_HOST":          "10.1.2.3", // an orchestrator's, not ours
	}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Load("testdata/full.good.yml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	want.Redis.URL, want.Redis.TLS.CA = "redis://other:6379/1", ""
	want.Redis.WaitReplicas, want.Redis.AllowUnsafe = NoReplicas, []string{UnsafeNoAOF, UnsafeEviction}
	want.Bucket.AccessKeyID, want.Bucket.PathStyle = ref(t, "file:/run/secrets/id"), false
	want.Sources.Allow, want.Sources.S3.Region = []string{"s3://a/{teamId}/", "s3://b/{teamId}/"}, "us-east-1"
	want.Limits.MaxInFlight, want.Limits.LargestRecord, want.Times.Lease = 2, 1<<30, time.Minute
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestProblemsOfVariablesNameTheVariable(t *testing.T) {
	_, err := Load("testdata/full.good.yml", env(map[string]string{
		"WAYBILL_REDIS_PASSWORD":       "hunter2",
		"WAYBILL_LIMITS_MAX_IN_FLIGHT": "many",
		"WAYBILL_LIMITS_NESTING":       "-1",
		"WAYBILL_SOURCES_ALLOW":        "s3://a/{teamId}/,s3://b/",
	}))
	want := []string{
		"WAYBILL_REDIS_PASSWORD: redis.password",
		"WAYBILL_LIMITS_MAX_IN_FLIGHT: limits.maxInFlight",
		"WAYBILL_SOURCES_ALLOW: sources.allow[1]",
		"WAYBILL_LIMITS_NESTING: limits.nesting",
	}
	var got []string
	if problems, ok := err.(waybill.Problems); ok {
		for _, p := range problems {
			got = append(got, p.Field)
		}
	}
	if !slices.Equal(got, want) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %q\nwant %q\nerror %v", got, want, err)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "waybill.yaml"), noEnv); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if c, err := Load("", noEnv); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("no file: %+v, %v", c, err)
	}
}

func TestReferencesNamesEverySecret(t *testing.T) {
	c, err := Load("testdata/full.good.yml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range c.References() {
		got = append(got, r.Path+"="+r.Ref.String())
	}
	want := []string{"redis.password=env:REDIS_PASSWORD", "bucket.accessKeyId=env:BUCKET_ID", "bucket.secretAccessKey=file:/run/secrets/bucket",
		"sources.azure.sas=file:/run/secrets/sas", "platform.apiKey=env:PLATFORM_KEY"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// Every setting has a variable of its own, a line for the table, and takes
// effect through either way.
func TestSettings(t *testing.T) {
	names := map[string]bool{}
	for _, s := range Settings() {
		if s.Help == "" || names[s.Env] {
			t.Errorf("%s: help %q, variable %s", s.Path, s.Help, s.Env)
		}
		names[s.Env] = true
	}
	for path, want := range map[string]Setting{
		"redis.sentinel.master": {Env: "WAYBILL_REDIS_SENTINEL_MASTER"},
		"bucket.accessKeyId":    {Env: "WAYBILL_BUCKET_ACCESS_KEY_ID"},
		"sources.s3.endpoint":   {Env: "WAYBILL_SOURCES_S3_ENDPOINT"},
		"limits.largestRecord":  {Env: "WAYBILL_LIMITS_LARGEST_RECORD", Default: "64 MiB"},
		"times.lease":           {Env: "WAYBILL_TIMES_LEASE", Default: "15s"},
		"brand":                 {Env: "WAYBILL_BRAND", Default: "kadoa"},
		"databricks.s3.region":  {Env: "WAYBILL_DATABRICKS_S3_REGION"},
		"times.tokenLifetime":   {Env: "WAYBILL_TIMES_TOKEN_LIFETIME", Default: "90d"},
	} {
		i := slices.IndexFunc(Settings(), func(s Setting) bool { return s.Path == path })
		if i < 0 || Settings()[i].Env != want.Env || Settings()[i].Default != want.Default {
			t.Errorf("%s is not in %+v", path, Settings())
		}
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s: %v", pattern, err)
	}
	return files
}

func TestLifetimesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Lifetime{"90d": Lifetime(90 * day), "0d": 0, "36h": Lifetime(36 * time.Hour), "24h0m0s": Lifetime(day)} {
		var got, back Lifetime
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
		written, err := got.MarshalText()
		if err != nil || back.UnmarshalText(written) != nil || back != want {
			t.Errorf("%s is written %s and read %v, %v", text, written, back, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "90", "106752d", "90 days"} {
		if err := new(Lifetime).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as a lifetime", text)
		}
	}
}

// What is shipped to start from is read without a problem.
func TestTheConfigurationsThatAreShippedAreValid(t *testing.T) {
	for _, file := range []string{"../../deploy/waybill.yaml", "../../deploy/kubernetes/waybill.yaml"} {
		if _, err := Load(file, func(string) (string, bool) { return "", false }, NeedBucket); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
