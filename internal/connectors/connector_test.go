package connectors

import (
	"errors"
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

// rules stand in for those of the packages that deliver.
var rules = Rules{
	CheckURL: func(url string) error {
		for _, scheme := range []string{"s3://", "gs://", "azblob://", "file:///"} {
			if strings.HasPrefix(url, scheme) {
				return nil
			}
		}
		return errors.New("is not a location here")
	},
	CheckPath: func(path string) error {
		if strings.Contains(path, "..") {
			return errors.New("leaves its prefix")
		}
		return nil
	},
	Formats: []string{"parquet", "jsonl", "csv", "json"},
	CheckSnowflake: func(s Snowflake) error {
		if s.Account == "" {
			return waybill.Problems{{Field: "account", Message: "is missing"}, {Field: "region", Message: "can mean two"}}
		}
		return nil
	},
	Kinds: []waybill.Kind{waybill.KindStorage, waybill.KindSnowflake, waybill.KindDatabricks, waybill.KindDeltaSharing},
}

func ref(t *testing.T, text string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func lake(t *testing.T) Connector {
	return Connector{
		ID: "acme-lake", Team: "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", Kind: waybill.KindStorage,
		Workflows: []string{"wf_movies", "wf_earthquakes"}, MaxInFlight: 2, MalformedTolerated: 10,
		Storage: &Storage{
			URL: "s3://acme-bucket/in", Region: "eu-central-1", Path: "kadoa/{teamId}/{workflowId}/{timestamp}-{jobId}/",
			Formats: []string{"parquet", "jsonl", "csv"},
			Access:  Access{AccessKeyID: ref(t, "env:ACME_KEY_ID"), SecretAccessKey: ref(t, "file:/run/secrets/acme")},
		},
	}
}

func TestGoodFiles(t *testing.T) {
	got, err := rules.ReadFiles("testdata/fleet.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := []Connector{
		lake(t),
		{ID: "acme-minio", Team: lake(t).Team, Kind: "storage", Storage: &Storage{
			URL: "s3://data", Endpoint: "https://minio.acme.example:9000", PathStyle: true, Formats: []string{"json"},
		}},
		{ID: "local", Team: "0123", Kind: "storage", Storage: &Storage{URL: "file:///srv/out", Formats: []string{"csv"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, err := rules.ReadFiles("testdata/minimal.good.yml"); err != nil || len(got) != 1 || got[0].ID != "acme-policy" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEveryStoreAndCredential(t *testing.T) {
	got, err := rules.ReadFiles("testdata/stores.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	store := func(id string, s Storage) Connector {
		return Connector{ID: id, Team: "acme", Kind: "storage", Storage: &s}
	}
	parquet := []string{"parquet"}
	want := []Connector{
		store("s3-role", Storage{URL: "s3://acme/in", Region: "eu-central-1", Formats: []string{"parquet", "csv", "jsonl"},
			KMSKeyID:    "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
			Compression: Compression{CSV: "gzip", JSONL: "zstd"}, MaxFileBytes: 256 << 20, CSVFormulaGuard: true,
			Access: Access{RoleARN: "arn:aws:iam::123456789012:role/delivery/waybill"}}),
		store("s3-keys", Storage{URL: "s3://acme", Region: "eu-central-1", KMSKeyID: "alias/lake", Formats: parquet,
			Access: Access{AccessKeyID: ref(t, "aws-sm:acme#id"), SecretAccessKey: ref(t, "aws-sm:acme#secret")}}),
		store("gs-ambient", Storage{URL: "gs://acme-lake/in", Formats: []string{"jsonl"}, Compression: Compression{JSONL: "none"}}),
		store("gs-key", Storage{URL: "gs://acme-lake", Formats: parquet, Endpoint: "http://127.0.0.1:4443/storage/v1/",
			Access: Access{ServiceAccount: ref(t, "gcp-sm:projects/acme-1/secrets/lake/versions/latest")}}),
		store("gs-as", Storage{URL: "gs://acme-lake", Formats: parquet, Access: Access{Impersonate: "lake@acme-1.iam.gserviceaccount.com"}}),
		store("az-sas", Storage{URL: "azblob://exports/in", Formats: parquet, Access: Access{Account: "acmelake", SAS: ref(t, "vault:secret/acme/azure#sas")}}),
		store("az-key", Storage{URL: "azblob://exports", Formats: parquet, Endpoint: "http://127.0.0.1:10000/devstoreaccount1",
			Access: Access{Account: "devstoreaccount1", AccountKey: ref(t, "azure-kv:https://acme.vault.azure.net/secrets/lake")}}),
		store("az-only", Storage{URL: "azblob://exports", Formats: parquet, Access: Access{Account: "acmelake", ManagedIdentity: ManagedIdentity{On: true}}}),
		store("az-one", Storage{URL: "azblob://exports", Formats: parquet,
			Access: Access{Account: "acmelake", ManagedIdentity: ManagedIdentity{On: true, ClientID: "11111111-2222-4333-8444-555555555555"}}}),
	}
	kinds := []string{AccessRole, AccessKeys, AccessAmbient, AccessServiceAccount, AccessImpersonate, AccessSAS, AccessAccountKey, AccessManagedIdentity, AccessManagedIdentity}
	if len(got) != len(want) {
		t.Fatalf("%d connectors, want %d", len(got), len(want))
	}
	for i, c := range got {
		if !reflect.DeepEqual(c, want[i]) {
			t.Errorf("got  %+v\nwant %+v", *c.Storage, *want[i].Storage)
		}
		if kind := c.Storage.Access.Kind(); kind != kinds[i] {
			t.Errorf("%s: access is of kind %s, want %s", c.ID, kind, kinds[i])
		}
		doc, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(doc); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s came back as %+v, %v", doc, back, err)
		}
	}
	s := got[0].Storage.Compression
	if s.Of("csv") != "gzip" || s.Of("jsonl") != "zstd" || s.Of("parquet") != "" || got[2].Storage.Compression.Of("jsonl") != "" {
		t.Errorf("compressions of %+v", s)
	}
}

// Each bad file says in its first lines, after "# want: ", every problem that
// is reported of it, in order.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
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
			_, err = rules.ReadFiles(file)
			if got := texts(err); !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}

func texts(err error) (list []string) {
	problems, _ := errors.AsType[waybill.Problems](err)
	for _, p := range problems {
		list = append(list, p.Field+": "+p.Message)
	}
	return list
}

func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	document := func(id string) string {
		return "id: " + id + "\nteam: acme\nkind: storage\nstorage: {url: s3://b, region: r, formats: [csv]}\n"
	}
	for name, text := range map[string]string{
		"b.yaml": document("second"), "a.yml": document("first") + "---\n" + document("and-a-half"),
		"notes.txt": "not: [yaml", "sub.yaml/c.yaml": document("not-read"),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := rules.ReadFiles(dir)
	var ids []string
	for _, c := range got {
		ids = append(ids, c.ID)
	}
	if want := []string{"first", "and-a-half", "second"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("read %v, %v", ids, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(document("first")+"workflows: [/]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = rules.ReadFiles(dir)
	want := []string{
		`c.yaml:5: workflows[0]: "/" is not a workflow's id; leave workflows out to deliver all`,
		`c.yaml:1: id: "first" is also the id of the connector at a.yml:1; ids are unique`,
	}
	if got := texts(err); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(dir, "none")} {
		if _, err := rules.ReadFiles(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

// The stored form is what older and newer processes share: it changes only on
// purpose, together with these files. The first is as it was before there were
// other stores than S3.
func TestGoldenDocuments(t *testing.T) {
	first := lake(t)
	first.CreatedAt = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	all := first
	all.ExternalID = "waybill-R4ND0MR4ND0MR4ND0MR4ND0MRA"
	all.Storage = &Storage{
		URL: "s3://acme-bucket/in", Region: "eu-central-1", Endpoint: "https://s3.example", PathStyle: true, KMSKeyID: "alias/lake",
		Path: first.Storage.Path, Formats: []string{"parquet", "jsonl", "csv"}, Compression: Compression{CSV: "gzip", JSONL: "zstd"},
		MaxFileBytes: 256 << 20, CSVFormulaGuard: true,
		Access: Access{ // never all at once; here to see their names
			RoleARN: "arn:aws:iam::123456789012:role/waybill", ServiceAccount: ref(t, "gcp-sm:projects/p/secrets/s/versions/latest"),
			Impersonate: "lake@acme-1.iam.gserviceaccount.com", Account: "acmelake", SAS: ref(t, "vault:secret/acme#sas"), AccountKey: ref(t, "env:KEY"),
			ManagedIdentity: ManagedIdentity{On: true},
		},
	}
	for file, c := range map[string]Connector{"connector.golden.json": first, "connector-all.golden.json": all} {
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Encode()
		if err != nil || string(got)+"\n" != string(want) {
			t.Errorf("%s: encoded %s, %v", file, got, err)
		}
		back, err := Decode(want)
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("%s: decoded %+v, %v", file, back, err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":"a","paused":true}`: "unknown field",
		`{"id":"a"} {}`:            "something follows",
		`{"id":"a"`:                "unexpected EOF",
		`{"storage":{"url":"s3://a","formats":[],"access":{"accessKeyId":"hunter2"}}}`: "is not a reference",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSubscribes(t *testing.T) {
	some, all := Connector{Workflows: []string{"wf_1"}}, Connector{}
	if !some.Subscribes("wf_1") || some.Subscribes("wf_10") || !all.Subscribes("wf_10") {
		t.Error("subscribes to the wrong workflows")
	}
}
