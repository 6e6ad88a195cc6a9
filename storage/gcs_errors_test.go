package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// googleAnswer is what Google says to every request: with a reason to its JSON
// API, with a code to its XML API, by which objects are read.
type googleAnswer struct {
	status int
	reason string
	code   string
	header http.Header
}

func (a googleAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the client may see a broken connection and not the answer
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	if strings.Contains(r.URL.Path, "/storage/v1/") {
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"vendor text","errors":[{"reason":%q,"message":"vendor text"}]}}`, a.status, a.reason)
		return
	}
	fmt.Fprintf(w, `<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>vendor text</Message></Error>`, a.code)
}

// openGoogle opens a bucket on a server of the test's; what opts do not say is right.
func openGoogle(t *testing.T, h http.Handler, opts storage.GCSOptions) *storage.GCS {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	opts.Bucket, opts.Endpoint, opts.Client = "acme", server.URL+"/storage/v1/", server.Client()
	if opts.Attempts == 0 {
		opts.Attempts = 1
	}
	if opts.ServiceAccountKey == nil {
		opts.Anonymous = true
	}
	return openGCS(t, opts)
}

// What Google answers, and its emulator does not.
func TestGCSFailuresByAnswer(t *testing.T) {
	ago := http.Header{"Date": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}
	for name, tc := range map[string]struct {
		answer googleAnswer
		want   meaning
	}{
		"forbidden":            {googleAnswer{403, "forbidden", "AccessDenied", nil}, meaning{waybill.Blocked, "storage.access_denied", "the bucket acme", 0, nil}},
		"no billing":           {googleAnswer{403, "accountDisabled", "AccountProblem", nil}, meaning{waybill.Blocked, "storage.access_denied", "", 0, nil}},
		"unnamed 403":          {googleAnswer{403, "newReason", "NewCode", nil}, meaning{waybill.Blocked, "storage.access_denied", "", 0, nil}},
		"no bucket":            {googleAnswer{404, "notFound", "NoSuchBucket", nil}, meaning{waybill.Blocked, "storage.no_bucket", "The bucket acme does not exist", 0, nil}},
		"invalid credentials":  {googleAnswer{401, "authError", "AuthenticationRequired", nil}, meaning{waybill.Blocked, "storage.bad_credentials", "the service account's JSON key above all", 0, nil}},
		"credentials, skewed":  {googleAnswer{401, "authError", "AuthenticationRequired", ago}, meaning{waybill.Blocked, "storage.clock_skew", "NTP", 0, nil}},
		"retention":            {googleAnswer{403, "retentionPolicyNotMet", "ObjectUnderActiveHold", nil}, meaning{waybill.Blocked, "storage.immutable", "retention policy", 0, nil}},
		"rate limit":           {googleAnswer{403, "rateLimitExceeded", "SlowDown", nil}, meaning{waybill.Throttled, "storage.throttled", "", 5 * time.Second, nil}},
		"user rate limit":      {googleAnswer{403, "userRateLimitExceeded", "SlowDown", nil}, meaning{waybill.Throttled, "storage.throttled", "", 5 * time.Second, nil}},
		"too many, so long":    {googleAnswer{429, "rateLimitExceeded", "SlowDown", http.Header{"Retry-After": {"7"}}}, meaning{waybill.Throttled, "storage.throttled", "", 7 * time.Second, nil}},
		"precondition":         {googleAnswer{412, "conditionNotMet", "PreconditionFailed", nil}, meaning{waybill.Transient, "storage.conflict", "", 0, storage.ErrPrecondition}},
		"conflict":             {googleAnswer{409, "conflict", "OperationAborted", nil}, meaning{waybill.Transient, "storage.contended", "", 0, nil}},
		"backend error":        {googleAnswer{503, "backendError", "ServiceUnavailable", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"internal error":       {googleAnswer{500, "internalError", "InternalError", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"odd 5xx":              {googleAnswer{520, "", "", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"too large":            {googleAnswer{413, "uploadTooLarge", "EntityTooLarge", nil}, meaning{waybill.Permanent, "storage.too_large", "maxFileBytes", 0, nil}},
		"not implemented":      {googleAnswer{501, "notImplemented", "NotImplemented", nil}, meaning{waybill.Permanent, "storage.unsupported", "", 0, errors.ErrUnsupported}},
		"a malformed request":  {googleAnswer{400, "invalid", "InvalidArgument", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
		"what nobody expected": {googleAnswer{418, "teapot", "Teapot", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			for op, err := range everyOperation(t, openGoogle(t, tc.answer, storage.GCSOptions{})) {
				want := tc.want
				if op == "Get" && tc.answer.code == "ServiceUnavailable" { // S3's word for "slow down", and the XML API speaks as S3 does
					want = meaning{verdict: waybill.Throttled, code: "storage.throttled", after: 5 * time.Second}
				}
				want.check(t, op, err)
			}
		})
	}
}

func TestGCSAccessDeniedNamesThePermission(t *testing.T) {
	want := map[string]string{
		"Put": "storage.objects.create (the role roles/storage.objectCreator)", "multipart Put": "storage.objects.create (the role roles/storage.objectCreator)",
		"Stat": "storage.objects.get and storage.objects.list (the role roles/storage.objectViewer)",
		"Get":  "storage.objects.get and storage.objects.list (the role roles/storage.objectViewer)",
		"List": "storage.objects.list (the role roles/storage.objectViewer)", "Delete": "storage.objects.delete (the role roles/storage.objectUser)",
		"Copy": "storage.objects.get, storage.objects.create and storage.objects.delete (the role roles/storage.objectUser)",
	}
	for op, err := range everyOperation(t, openGoogle(t, googleAnswer{403, "forbidden", "AccessDenied", nil}, storage.GCSOptions{})) {
		f, _ := errors.AsType[*waybill.Failure](err)
		if f == nil || !strings.Contains(f.Action, "Waybill may not use the bucket acme: allow it "+want[op]) {
			t.Errorf("%s: %+v; want it to name %s", op, f, want[op])
		}
	}
}

// Without the permission to list, a missing object is the likelier answer.
func TestGCSMissingObjectWhereListingIsForbidden(t *testing.T) {
	store := openGoogle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/o") {
			googleAnswer{403, "forbidden", "AccessDenied", nil}.ServeHTTP(w, r)
			return
		}
		googleAnswer{404, "notFound", "NoSuchKey", nil}.ServeHTTP(w, r)
	}), storage.GCSOptions{})
	_, err := store.Stat(t.Context(), "a")
	wantCode(t, err, waybill.Permanent, "storage.not_found")
	if err := store.Delete(t.Context(), "a"); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
}

func TestGCSFailuresOfTheNetwork(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	hangingUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangingUp.Close()
	for name, endpoint := range map[string]string{"nobody listens": gone.URL, "it hangs up": hangingUp.URL} {
		t.Run(name, func(t *testing.T) {
			store := openGCS(t, storage.GCSOptions{Bucket: "acme", Endpoint: endpoint + "/storage/v1/", Client: plainClient(t), Anonymous: true, Attempts: 1})
			for op, err := range everyOperation(t, store) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Verdict != waybill.Transient || f.Code != "storage.unreachable" {
					t.Errorf("%s: %v; want storage.unreachable", op, err)
				}
			}
		})
	}
}

// Keys that are no keys, or that nobody can fetch.
func TestGCSKeysThatFail(t *testing.T) {
	own := waybill.Failf(waybill.Blocked, "secrets.missing", "Set the variable ACME_KEY.", "not set")
	refusing := func(status int) []byte { return []byte(testservers.ServiceAccount(t, tokenServer(t, status))) }
	for name, tc := range map[string]struct {
		key  string
		err  error
		code string
	}{
		"a failure":             {"", fmt.Errorf("serviceAccount: %w", own), "secrets.missing"},
		"another error":         {"", errors.New("file is gone"), "storage.no_credentials"},
		"empty":                 {"", nil, "storage.bad_credentials"},
		"no JSON":               {"hush", nil, "storage.bad_credentials"},
		"no private key":        {`{"type":"service_account","client_email":"a@b","private_key":"hush"}`, nil, "storage.bad_credentials"},
		"another kind of file":  {`{"type":"external_account","credential_source":{"url":"http://169.254.169.254/hush"}}`, nil, "storage.bad_credentials"},
		"a deleted account":     {string(refusing(http.StatusBadRequest)), nil, "storage.bad_credentials"},
		"tokens have a fault":   {string(refusing(http.StatusInternalServerError)), nil, "storage.unavailable"},
		"tokens are too many":   {string(refusing(http.StatusTooManyRequests)), nil, "storage.throttled"},
		"nobody gives tokens":   {testservers.ServiceAccount(t, "http://127.0.0.1:1"), nil, "storage.unreachable"},
		"the process is nobody": {"-", nil, "storage.no_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := storage.GCSOptions{Bucket: "acme", Client: plainClient(t), Attempts: 1,
				ServiceAccountKey: func(context.Context) ([]byte, error) { return []byte(tc.key), tc.err }}
			if tc.key == "-" {
				opts.ServiceAccountKey = nil
				t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none"))
			}
			store := openGCS(t, opts)
			for op, err := range everyOperation(t, store) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Code != tc.code {
					t.Errorf("%s: %v, want %s", op, err, tc.code)
				}
				if strings.Contains(fmt.Sprint(err), "hush") {
					t.Errorf("%s repeats the key: %v", op, err)
				}
			}
		})
	}
}

// The process's own identity, as a file that its environment names. Other
// settings of the environment are not the store's.
func TestGCSOwnIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, []byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusOK))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	e := startGCS(t)
	opts := e.bucket(t)
	opts.Endpoint, opts.Client = e.server.Endpoint, plainClient(t)
	store := openGCS(t, opts)
	put(t, store, "a", "text")
	if url, err := store.Presign(t.Context(), "a", time.Minute); err != nil || !strings.Contains(url, "waybill%40acme") {
		t.Errorf("presign: %s, %v; want a URL signed by the account", url, err)
	}
}

func TestNewGCSRefuses(t *testing.T) {
	_, err := storage.NewGCS(t.Context(), storage.GCSOptions{Prefix: "a//b", Endpoint: "acme:9000", Impersonate: "reader", Anonymous: true})
	for _, want := range []string{"bucket: is missing", "prefix: has an empty segment", "endpoint: is not a URL", "impersonate: is not a service account", "anonymous: is said together"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	store := openGCS(t, storage.GCSOptions{Bucket: "acme", Prefix: "raw/data", Anonymous: true})
	if store.URL() != "gs://acme/raw/data/" {
		t.Errorf("the bucket is %s", store.URL())
	}
}
