package policies

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/secrets"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const standard = "kadoa/{teamId}/{workflowId}/{timestamp}-{jobId}/"

func ref(t *testing.T, text string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The statements are the product: read them.
func TestGoldenStatements(t *testing.T) {
	const role, key = "arn:aws:iam::123456789012:role/waybill", "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	keys := connectors.Access{AccessKeyID: ref(t, "env:A"), SecretAccessKey: ref(t, "env:B")}
	us := Identity{AWS: "arn:aws:iam::999999999999:role/waybill", Google: "waybill@provider.iam.gserviceaccount.com", Azure: "11111111-2222-4333-8444-555555555555"}
	azure := func(a connectors.Access) connectors.Storage {
		a.Account = "acmelake"
		return connectors.Storage{URL: "azblob://exports/in", Access: a}
	}
	for name, c := range map[string]struct {
		storage connectors.Storage
		who     Identity
		path    string
	}{
		"s3-bucket-policy":     {connectors.Storage{URL: "s3://acme-bucket", Region: "eu-central-1"}, Identity{}, standard},
		"s3-bucket-policy-kms": {connectors.Storage{URL: "s3://acme-bucket/in", Region: "eu-central-1", KMSKeyID: key}, us, "exports/run/{jobId}/"},
		"s3-role":              {connectors.Storage{URL: "s3://acme-bucket/in", Region: "eu-central-1", Access: connectors.Access{RoleARN: role}}, us, standard},
		"s3-role-kms":          {connectors.Storage{URL: "s3://acme-bucket", Region: "eu-central-1", KMSKeyID: "alias/lake", MaxFileBytes: 1 << 30, Access: connectors.Access{RoleARN: role}}, us, "{workflowId}/{jobId}"},
		"s3-keys":              {connectors.Storage{URL: "s3://acme-bucket/$what?*", Region: "cn-north-1", KMSKeyID: key, Access: keys}, us, standard},
		"s3-minio":             {connectors.Storage{URL: "s3://data", Endpoint: "https://minio.example", KMSKeyID: "lake", Access: keys}, Identity{}, standard},
		"gs-ambient":           {connectors.Storage{URL: "gs://acme-lake"}, Identity{}, standard},
		"gs-prefix":            {connectors.Storage{URL: `gs://acme-lake/o'neil/in`}, us, standard},
		"gs-impersonate":       {connectors.Storage{URL: "gs://acme-lake", Access: connectors.Access{Impersonate: "lake@acme-1.iam.gserviceaccount.com"}}, us, standard},
		"azure-identity":       {azure(connectors.Access{ManagedIdentity: connectors.ManagedIdentity{On: true}}), Identity{}, standard},
		"azure-identity-id":    {azure(connectors.Access{ManagedIdentity: connectors.ManagedIdentity{On: true, ClientID: us.Azure}}), Identity{}, standard},
		"azure-sas":            {azure(connectors.Access{SAS: ref(t, "env:SAS")}), us, standard},
		"azure-key":            {azure(connectors.Access{AccountKey: ref(t, "env:KEY")}), us, standard},
		"folder":               {connectors.Storage{URL: "file:///srv/out"}, us, standard},
	} {
		var b strings.Builder
		for _, s := range For(connectors.Connector{ID: "acme-lake", ExternalID: "waybill-EXAMPLEEXAMPLEEXAMPLEEXAMP", Storage: &c.storage}, c.path, c.who) {
			b.WriteString("# " + s.Title + "\n" + s.Text + "\n")
			if strings.HasPrefix(s.Text, "{") && !json.Valid([]byte(s.Text)) {
				t.Errorf("%s: not JSON: %s", name, s.Text)
			}
		}
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s is not what is written; if it should be, run: go test ./internal/connectors/policies -update\n%s", path, b.String())
		}
	}
}

func TestProbeKey(t *testing.T) {
	for path, want := range map[string]string{
		standard:                "kadoa/_waybill_probe",
		"{workflowId}/{jobId}/": "_waybill_probe",
		"a/b/dt={date}/{jobId}": "a/b/_waybill_probe",
		"runs-{jobId}":          "_waybill_probe",
	} {
		if got := ProbeKey(path); got != want {
			t.Errorf("ProbeKey(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	at := func(url, key string) connectors.Connector {
		return connectors.Connector{Storage: &connectors.Storage{URL: url, KMSKeyID: key}}
	}
	for _, c := range []struct {
		connectors.Connector
		step, want string
	}{
		{at("s3://a", ""), "write", "s3:PutObject"},
		{at("s3://a", "alias/a"), "write", "s3:PutObject, kms:GenerateDataKey, kms:Decrypt"},
		{at("s3://a", ""), "absent", "s3:GetObject, s3:ListBucket"},
		{at("gs://a", ""), "write", "storage.objects.create, storage.objects.delete"},
		{at("azblob://a", ""), "delete", "delete(d)"},
		{at("file:///a", ""), "read", "read"},
	} {
		if got := Missing(c.Connector, c.step); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.step, c.Storage.URL, got, c.want)
		}
	}
	for _, url := range []string{"s3://a", "gs://a", "azblob://a", "file:///a"} {
		for _, step := range []string{"write", "absent", "metadata", "read", "condition", "delete"} {
			if Missing(at(url, ""), step) == "" {
				t.Errorf("nothing is named for %s of %s", step, url)
			}
		}
	}
}

func TestCheckSAS(t *testing.T) {
	now := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	const good = "sv=2022-11-02&st=2025-01-01T00:00:00Z&se=2025-12-31T00%3A00%3A00Z&sr=c&sp=racwdl&spr=https&sig=hunter2%3D"
	with := func(old, now string) string { return strings.Replace(good, old, now, 1) }
	for name, c := range map[string]struct {
		token string
		want  []string
	}{
		"good":                   {good, nil},
		"with a question mark":   {"?" + good + "\n", nil},
		"ends soon":              {with("2025-12-31T00%3A00%3A00Z", "2025-01-20T10:30Z"), []string{"warning: The shared access signature ends at 2025-01-20T10:30:00Z, in 5 days"}},
		"ended":                  {with("2025-12-31T00%3A00%3A00Z", "2025-01-15"), []string{"failed: The shared access signature ended at 2025-01-15T00:00:00Z"}},
		"not yet":                {with("2025-01-01T00", "2025-02-01T00"), []string{"failed: The shared access signature is not valid before 2025-02-01T00:00:00Z"}},
		"no end":                 {with("se=", "xx="), []string{"failed: The shared access signature has no end"}},
		"a blob's":               {with("sr=c", "sr=b"), []string{"failed: The shared access signature is not for a container"}},
		"read only":              {with("racwdl", "rl"), []string{"failed: The shared access signature lacks create (c), write (w), delete (d), for the probe"}},
		"an account's":           {with("sr=c", "ss=bq&srt=co"), nil},
		"an account's for files": {with("sr=c", "ss=f&srt=s"), []string{"failed: The shared access signature is not for blobs"}},
		"stored policy":          {"sv=2022-11-02&si=waybill&sr=c&sig=hunter2", []string{"warning: The shared access signature ends when the container's stored access policy says"}},
		"several":                {"sv=2022-11-02&se=2025-01-16T00:00Z&sr=b&sp=r&sig=hunter2", []string{"warning: The shared access signature ends", "failed: The shared access signature is not for a container", "failed: The shared access signature lacks"}},
		"a key":                  {"hunter2==", []string{"failed: What access.sas points to is not a shared access signature"}},
		"nonsense":               {"%zz", []string{"failed: What access.sas points to"}},
	} {
		t.Run(name, func(t *testing.T) {
			findings := CheckSAS(c.token, now)
			var got []string
			for i, f := range findings {
				text := string(f.Severity) + ": " + f.Text
				if i < len(c.want) && strings.HasPrefix(text, c.want[i]) {
					text = c.want[i]
				}
				if got = append(got, text); strings.Contains(text, "hunter2") {
					t.Errorf("shows the signature: %s", text)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
