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
		if !strings.HasPrefix(url, "s3://") && !strings.HasPrefix(url, "file:///") {
			return errors.New("is not a location here")
		}
		return nil
	},
	CheckPath: func(path string) error {
		if strings.Contains(path, "..") {
			return errors.New("leaves its prefix")
		}
		return nil
	},
	Formats: []string{"parquet", "jsonl", "csv", "json"},
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
// purpose, together with this file.
func TestGoldenDocument(t *testing.T) {
	c := lake(t)
	c.CreatedAt = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	want, err := os.ReadFile("testdata/connector.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Encode()
	if err != nil || string(got)+"\n" != string(want) {
		t.Errorf("encoded %s, %v", got, err)
	}
	back, err := Decode(want)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("decoded %+v, %v", back, err)
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
