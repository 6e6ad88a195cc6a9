package fleet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/storage"
)

// guarded is a store that refuses some operations, as a policy with gaps does.
type guarded struct {
	storage.Store
	refuse    string // operations
	careless  bool   // takes no notice of conditions
	forgetful bool   // keeps no metadata
}

var errDenied = waybill.Failf(waybill.Blocked, accessDenied, "Waybill may not use the bucket acme.", "vendor text")

func (g *guarded) denies(op string) error {
	if strings.Contains(g.refuse, op) {
		return errDenied
	}
	return nil
}

func (g *guarded) Put(ctx context.Context, key string, r io.Reader, opts storage.PutOptions) (storage.Object, error) {
	if err := g.denies("put"); err != nil {
		return storage.Object{}, err
	}
	if g.careless {
		opts.IfAbsent = false
	}
	if g.forgetful {
		opts.Metadata = nil
	}
	return g.Store.Put(ctx, key, r, opts)
}

func (g *guarded) Stat(ctx context.Context, key string) (storage.Object, error) {
	o, err := g.Store.Stat(ctx, key)
	if errors.Is(err, storage.ErrNotExist) && strings.Contains(g.refuse, "list") {
		return o, errDenied
	}
	if err := g.denies("get"); err != nil {
		return o, err
	}
	return o, err
}

func (g *guarded) Get(ctx context.Context, key string, opts storage.GetOptions) (io.ReadCloser, storage.Object, error) {
	if err := g.denies("get"); err != nil {
		return nil, storage.Object{}, err
	}
	return g.Store.Get(ctx, key, opts)
}

func (g *guarded) Delete(ctx context.Context, key string) error {
	if err := g.denies("delete"); err != nil {
		return err
	}
	return g.Store.Delete(ctx, key)
}

func TestCheckNamesEveryMissingPermissionAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		store  guarded
		kms    string
		failed int
		want   []string
		not    []string
	}{
		"all is well": {failed: 0, want: []string{"ok      write\n", "ok      read metadata\n", "ok      read back\n",
			"ok      keep what is there from being overwritten\n", "ok      delete\n", "ok      be told what is not there\n"}, not: []string{"missing", "Statement"}},
		"no list":        {store: guarded{refuse: "list"}, failed: 1, want: []string{"missing: s3:GetObject, s3:ListBucket\n", "WaybillSeesWhatIsNotThere"}},
		"neither of two": {store: guarded{refuse: "get delete"}, failed: 4, want: []string{"ok      write\n", "missing: s3:GetObject, s3:DeleteObject, s3:ListBucket\n"}},
		"nothing": {store: guarded{refuse: "put get delete list"}, kms: "arn:aws:kms:eu-central-1:123456789012:key/1", failed: 6,
			want: []string{"missing: s3:PutObject, kms:GenerateDataKey, kms:Decrypt, s3:GetObject, s3:DeleteObject, s3:ListBucket\n", "Bucket policy of acme", "Statement for the policy of the key"}},
		"no conditions": {store: guarded{careless: true}, failed: 1, want: []string{"failed  keep what is there from being overwritten: the store takes no notice of conditions"}, not: []string{"missing", "Statement"}},
		"no metadata":   {store: guarded{forgetful: true}, failed: 1, want: []string{"failed  read metadata: the store did not keep the object's metadata x-kadoa-format"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, err := storage.OpenFolder(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			c.store.Store = folder
			var out bytes.Buffer
			k := &Check{connector: connectors.Connector{ID: "acme-lake", Storage: &connectors.Storage{URL: "s3://acme", Region: "eu-central-1", KMSKeyID: c.kms}},
				path: storage.DefaultPath("kadoa"), brand: "kadoa", out: &out, now: time.Now}
			err = k.Store(t.Context(), func(context.Context, connectors.Connector) (storage.Store, error) { return &c.store, nil })
			if k.failed != c.failed || (err != nil) != (c.failed > 0) {
				t.Errorf("%d steps failed, %v, want %d\n%s", k.failed, err, c.failed, &out)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, &out)
				}
			}
			for _, not := range append(c.not, "vendor text") {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q is in\n%s", not, &out)
				}
			}
			if _, err := folder.Stat(t.Context(), "kadoa/_waybill_probe"); c.store.refuse == "" && !errors.Is(err, storage.ErrNotExist) {
				t.Errorf("the probe is still there: %v", err)
			}
		})
	}
}

func secretRef(t *testing.T, text string) secrets.Ref {
	t.Helper()
	ref, err := secrets.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestCheckWarnsOfASignatureThatEnds(t *testing.T) {
	now := time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)
	for end, want := range map[string]string{
		"2025-01-20": "warning The shared access signature ends at 2025-01-20T00:00:00Z, in 4 days",
		"2025-01-14": "failed  The shared access signature ended at 2025-01-14T00:00:00Z",
		"2026-01-14": "",
	} {
		folder, err := storage.OpenFolder(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		var out bytes.Buffer
		k := &Check{connector: connectors.Connector{ID: "acme-azure", Storage: &connectors.Storage{URL: "azblob://exports",
			Access: connectors.Access{Account: "acmelake", SAS: secretRef(t, "env:SAS")}}},
			path: storage.DefaultPath("kadoa"), brand: "kadoa", out: &out, now: func() time.Time { return now },
			resolve: func(context.Context, secrets.Ref) (secrets.Secret, error) {
				return secrets.New("sv=2022-11-02&sr=c&sp=rcwd&se=" + end + "&sig=hunter2"), nil
			}}
		err = k.Store(t.Context(), func(context.Context, connectors.Connector) (storage.Store, error) { return folder, nil })
		if failing := strings.HasPrefix(want, "failed"); (err != nil) != failing || strings.Contains(out.String(), "generate-sas") != failing {
			t.Errorf("%s: %v\n%s", end, err, &out)
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "hunter2") || (want == "" && strings.Contains(out.String(), "signature")) {
			t.Errorf("%s: want %q in\n%s", end, want, &out)
		}
	}
}

// A bucket that cannot even be opened says so, and a key that may not act for
// the role shows the trust policy.
func TestCheckOfAStoreThatDoesNotOpen(t *testing.T) {
	for code, policy := range map[string]bool{"storage.role_refused": true, "storage.no_bucket": false} {
		var out bytes.Buffer
		k := &Check{connector: connectors.Connector{ID: "acme-lake", ExternalID: "waybill-EXTERNAL", Storage: &connectors.Storage{URL: "s3://acme", Region: "eu-central-1",
			Access: connectors.Access{RoleARN: "arn:aws:iam::123456789012:role/waybill"}}}, path: "kadoa/{jobId}", brand: "kadoa", out: &out}
		err := k.Store(t.Context(), func(context.Context, connectors.Connector) (storage.Store, error) {
			return nil, waybill.Failf(waybill.Blocked, code, "Mend it.", "vendor text")
		})
		if err == nil || !strings.Contains(out.String(), "failed  open the store: Mend it.") || strings.Contains(out.String(), `"sts:ExternalId": "waybill-EXTERNAL"`) != policy {
			t.Errorf("%s: %v\n%s", code, err, &out)
		}
	}
}

func TestThePolicyNamesTheAccountOfAKeyAndNothingElseOfIt(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"service_account","client_email":"lake@acme-1.iam.gserviceaccount.com","private_key":"hunter2"}`: "serviceAccount:lake@acme-1.iam.gserviceaccount.com",
		`hunter2`:                    "serviceAccount:YOUR_SERVICE_ACCOUNT",
		`{"client_email":"hunter2"}`: "serviceAccount:YOUR_SERVICE_ACCOUNT",
	} {
		var out bytes.Buffer
		k := &Check{connector: connectors.Connector{ID: "acme-gs", Storage: &connectors.Storage{URL: "gs://acme", Access: connectors.Access{ServiceAccount: secretRef(t, "env:SA")}}},
			path: "kadoa/{jobId}", out: &out, resolve: func(context.Context, secrets.Ref) (secrets.Secret, error) { return secrets.New(text), nil }}
		k.Policies(t.Context())
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "hunter2") {
			t.Errorf("want %q in\n%s", want, &out)
		}
	}
}
