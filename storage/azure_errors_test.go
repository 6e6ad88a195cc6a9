package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// azureAnswer is what Azure says to every request.
type azureAnswer struct {
	status int
	code   string
	header http.Header
}

func (a azureAnswer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the client may see a broken connection and not the answer
	maps.Copy(w.Header(), a.header)
	if a.code != "" {
		w.Header().Set("X-Ms-Error-Code", a.code)
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>vendor text</Message></Error>`, a.code)
	}
}

const sharedKey = "YS1zZWNyZXQ="

// openMicrosoft opens a container on a server of the test's; what opts do not say is right.
func openMicrosoft(t *testing.T, h http.Handler, opts storage.AzureOptions) *storage.Azure {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	opts.Account, opts.Container, opts.Endpoint, opts.Client = "acmelake", "acme", server.URL, server.Client()
	if opts.Attempts == 0 {
		opts.Attempts = 1
	}
	if opts.SharedKey == nil && opts.SAS == nil {
		opts.SharedKey = staticSecret(sharedKey)
	}
	return openAzure(t, opts)
}

// What Azure answers, and its emulator does not.
func TestAzureFailuresByAnswer(t *testing.T) {
	ago := http.Header{"Date": {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}
	for name, tc := range map[string]struct {
		answer azureAnswer
		want   meaning
	}{
		"no container":         {azureAnswer{404, "ContainerNotFound", nil}, meaning{waybill.Blocked, "storage.no_bucket", "The container acme does not exist", 0, nil}},
		"container goes":       {azureAnswer{409, "ContainerBeingDeleted", nil}, meaning{waybill.Blocked, "storage.no_bucket", "", 0, nil}},
		"no role":              {azureAnswer{403, "AuthorizationPermissionMismatch", nil}, meaning{waybill.Blocked, "storage.access_denied", "the container acme", 0, nil}},
		"firewall":             {azureAnswer{403, "AuthorizationFailure", nil}, meaning{waybill.Blocked, "storage.access_denied", "", 0, nil}},
		"no shared keys":       {azureAnswer{403, "KeyBasedAuthenticationNotPermitted", nil}, meaning{waybill.Blocked, "storage.access_denied", "", 0, nil}},
		"account disabled":     {azureAnswer{403, "AccountIsDisabled", nil}, meaning{waybill.Blocked, "storage.access_denied", "", 0, nil}},
		"wrong key":            {azureAnswer{403, "AuthenticationFailed", nil}, meaning{waybill.Blocked, "storage.bad_credentials", "the shared key above all", 0, nil}},
		"clock skew":           {azureAnswer{403, "AuthenticationFailed", ago}, meaning{waybill.Blocked, "storage.clock_skew", "NTP", 0, nil}},
		"no authentication":    {azureAnswer{401, "NoAuthenticationInformation", nil}, meaning{waybill.Blocked, "storage.bad_credentials", "", 0, nil}},
		"busy":                 {azureAnswer{503, "ServerBusy", nil}, meaning{waybill.Throttled, "storage.throttled", "", 5 * time.Second, nil}},
		"busy, so long":        {azureAnswer{503, "ServerBusy", http.Header{"Retry-After": {"11"}}}, meaning{waybill.Throttled, "storage.throttled", "", 11 * time.Second, nil}},
		"precondition":         {azureAnswer{412, "ConditionNotMet", nil}, meaning{waybill.Transient, "storage.conflict", "", 0, storage.ErrPrecondition}},
		"already there":        {azureAnswer{409, "BlobAlreadyExists", nil}, meaning{waybill.Transient, "storage.conflict", "", 0, storage.ErrPrecondition}},
		"blocks are gone":      {azureAnswer{400, "InvalidBlockList", nil}, meaning{waybill.Transient, "storage.contended", "", 0, nil}},
		"archived":             {azureAnswer{409, "BlobArchived", nil}, meaning{waybill.Blocked, "storage.archived", "restore", 0, nil}},
		"immutable":            {azureAnswer{409, "BlobImmutableDueToPolicy", nil}, meaning{waybill.Blocked, "storage.immutable", "retention policy", 0, nil}},
		"leased":               {azureAnswer{412, "LeaseIdMissing", nil}, meaning{waybill.Blocked, "storage.immutable", "lease", 0, nil}},
		"encryption key":       {azureAnswer{403, "KeyVaultEncryptionKeyNotFound", nil}, meaning{waybill.Blocked, "storage.encryption_key", "", 0, nil}},
		"timed out":            {azureAnswer{500, "OperationTimedOut", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"internal error":       {azureAnswer{500, "InternalError", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"md5":                  {azureAnswer{400, "Md5Mismatch", nil}, meaning{waybill.Transient, "storage.corrupted", "", 0, nil}},
		"too large":            {azureAnswer{413, "RequestBodyTooLarge", nil}, meaning{waybill.Permanent, "storage.too_large", "maxFileBytes", 0, nil}},
		"not there":            {azureAnswer{404, "BlobNotFound", nil}, meaning{waybill.Permanent, "storage.not_found", "", 0, storage.ErrNotExist}},
		"no Azure at all":      {azureAnswer{404, "", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
		"what nobody expected": {azureAnswer{418, "Teapot", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			for op, err := range everyOperation(t, openMicrosoft(t, tc.answer, storage.AzureOptions{})) {
				tc.want.check(t, op, err, sharedKey)
			}
		})
	}
}

func TestAzureAccessDeniedNamesThePermission(t *testing.T) {
	want := map[string]string{
		"Put": "to write (the role Storage Blob Data Contributor;", "multipart Put": "to write (the role Storage Blob Data Contributor;",
		"Stat": "to read (the role Storage Blob Data Reader or Contributor;", "Get": "to read (the role Storage Blob Data Reader or Contributor;",
		"List": "to list (the role Storage Blob Data Reader or Contributor; in a shared access signature of the container, l)",
		"Copy": "to read and write (the role Storage Blob Data Contributor; in a shared access signature, r, c and w)", "Delete": "to delete (the role Storage Blob Data Contributor;",
	}
	for op, err := range everyOperation(t, openMicrosoft(t, azureAnswer{403, "AuthorizationPermissionMismatch", nil}, storage.AzureOptions{})) {
		f, _ := errors.AsType[*waybill.Failure](err)
		if f == nil || !strings.Contains(f.Action, "Waybill may not use the container acme: allow it "+want[op]) {
			t.Errorf("%s: %+v; want it to name %s", op, f, want[op])
		}
	}
}

// The network's errors name the URL, which must not hold the signature.
func TestAzureNeverTellsTheSignature(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	const signature = "sv=2024-11-04&sp=rcwdl&sr=c&se=2199-01-01T00:00:00Z&sig=hush"
	broken := openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "acme", Endpoint: gone.URL, Client: plainClient(t), Attempts: 1,
		SAS: staticSecret(signature)})
	refusing := openMicrosoft(t, azureAnswer{403, "AuthenticationFailed", nil}, storage.AzureOptions{SAS: staticSecret(signature)})
	for store, code := range map[*storage.Azure]string{broken: "storage.unreachable", refusing: "storage.bad_credentials"} {
		for op, err := range everyOperation(t, store) {
			f, ok := errors.AsType[*waybill.Failure](err)
			if !ok || f.Code != code {
				t.Errorf("%s: %v, want %s", op, err, code)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), "hush") {
				t.Errorf("%s tells the signature: %v", op, err)
			}
		}
	}
}

// Secrets that are none, or that nobody can fetch.
func TestAzureSecretsThatFail(t *testing.T) {
	own := waybill.Failf(waybill.Blocked, "secrets.missing", "Set the variable ACME_SAS.", "not set")
	fetch := func(text string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, err }
	}
	for name, tc := range map[string]struct {
		opts   storage.AzureOptions
		code   string
		action string
	}{
		"sas, a failure":       {storage.AzureOptions{SAS: fetch("", fmt.Errorf("sas: %w", own))}, "secrets.missing", "ACME_SAS"},
		"sas, another error":   {storage.AzureOptions{SAS: fetch("", errors.New("file is gone"))}, "storage.no_credentials", ""},
		"sas, empty":           {storage.AzureOptions{SAS: fetch("", nil)}, "storage.bad_credentials", "shared access signature"},
		"sas, something else":  {storage.AzureOptions{SAS: fetch("hush%zz", nil)}, "storage.bad_credentials", "shared access signature"},
		"sas, an account's":    {storage.AzureOptions{SAS: fetch("https://hush.blob.core.windows.net/", nil)}, "storage.bad_credentials", "shared access signature"},
		"key, a failure":       {storage.AzureOptions{SharedKey: fetch("", fmt.Errorf("key: %w", own))}, "secrets.missing", "ACME_SAS"},
		"key, another error":   {storage.AzureOptions{SharedKey: fetch("", errors.New("file is gone"))}, "storage.no_credentials", ""},
		"key, empty":           {storage.AzureOptions{SharedKey: fetch("", nil)}, "storage.bad_credentials", "shared key"},
		"key, something else":  {storage.AzureOptions{SharedKey: fetch("hush", nil)}, "storage.bad_credentials", "shared key"},
		"key, not even base64": {storage.AzureOptions{SharedKey: fetch("hush!", nil)}, "storage.bad_credentials", "shared key"},
	} {
		t.Run(name, func(t *testing.T) {
			server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				azureAnswer{403, "AuthenticationFailed", nil}.ServeHTTP(w, r) // as for a key that is one, but another
			})
			tc.opts.Attempts = 3
			for op, err := range everyOperation(t, openMicrosoft(t, server, tc.opts)) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Verdict != waybill.Blocked || f.Code != tc.code || !strings.Contains(f.Action, tc.action) {
					t.Errorf("%s: %+v, want %s", op, f, tc.code)
				}
				if strings.Contains(fmt.Sprint(err), "hush") {
					t.Errorf("%s repeats the secret: %v", op, err)
				}
			}
		})
	}
}

func TestNewAzureRefuses(t *testing.T) {
	_, err := storage.NewAzure(t.Context(), storage.AzureOptions{Account: "My_Account", Prefix: "../a", Endpoint: "acme:10000",
		SAS: staticSecret("x"), ManagedIdentity: "y"})
	for _, want := range []string{"container: is missing", `prefix: has the segment ".."`, "account: is not a storage account's name",
		"endpoint: is not a URL", "access: holds several kinds of credentials"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if _, err := storage.NewAzure(t.Context(), storage.AzureOptions{Container: "acme"}); err == nil || !strings.Contains(err.Error(), "account: is missing") {
		t.Errorf("without an account: %v", err)
	}
	store := openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "lake", Prefix: "raw/data", SharedKey: staticSecret(sharedKey)})
	if store.URL() != "azblob://lake/raw/data/" {
		t.Errorf("the container is %s", store.URL())
	}
	_, err = store.Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{Metadata: map[string]string{"1st": "x"}})
	wantCode(t, err, waybill.Permanent, "storage.bad_metadata") // Azure has no such names
}
