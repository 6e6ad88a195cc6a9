package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// signature makes a shared access signature of a container, with the vendor's own client.
func (e *azurite) signature(t *testing.T, name string, allowed sas.ContainerPermissions, ends time.Time) string {
	t.Helper()
	key, err := container.NewSharedKeyCredential(e.server.Account, e.server.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := container.NewClientWithSharedKeyCredential(e.server.Endpoint+"/"+name, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := c.GetSASURL(allowed, ends, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(signed, "?")
	return query
}

var everything = sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}

// With a shared access signature everything works but presigning; and one that
// was replaced is used at once.
func TestAzureSharedAccessSignature(t *testing.T) {
	e := startAzure(t)
	opts := e.container(t)
	opts.Prefix = "data"
	text := "?" + e.signature(t, opts.Container, sas.ContainerPermissions{List: true}, time.Now().Add(time.Hour)) + "\n" // as people paste it
	opts.SAS = func(context.Context) (string, error) { return text, nil }
	store := e.open(t, opts)
	_, err := store.Put(t.Context(), "a/b", strings.NewReader("text"), storage.PutOptions{})
	wantCode(t, err, waybill.Blocked, "storage.access_denied")

	text = e.signature(t, opts.Container, everything, time.Now().Add(time.Hour))
	for op, err := range everyOperation(t, store) {
		if err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
	put(t, store, "a b/c+d", "text")
	if copied, err := store.Copy(t.Context(), "a b/c+d", "copy"); err != nil || copied.Size != 4 {
		t.Errorf("the copy is %+v, %v", copied, err)
	}
	_, err = store.Presign(t.Context(), "a", time.Minute)
	wantCode(t, err, waybill.Permanent, "storage.unsupported")
}

func TestAzureSignatureThatHasEnded(t *testing.T) {
	e := startAzure(t)
	opts := e.container(t)
	opts.SAS = staticSecret(e.signature(t, opts.Container, everything, time.Now().Add(-time.Minute)))
	for op, err := range everyOperation(t, e.open(t, opts)) {
		wantCode(t, err, waybill.Blocked, "storage.expired_credentials")
		want := "The shared access signature for the container container-1 has expired; renew it in the connector's access."
		if got := waybill.At(waybill.StageStage, err).Action; got != want {
			t.Errorf("%s says %q", op, got)
		}
	}
}

// One that ends between two blocks stops the delivery, and nothing of the
// object becomes visible; with a new one it goes on.
func TestAzureSignatureThatEndsUnderWay(t *testing.T) {
	e := startAzure(t)
	opts := e.container(t)
	valid, ended := e.signature(t, opts.Container, everything, time.Now().Add(time.Hour)), e.signature(t, opts.Container, everything, time.Now().Add(-time.Minute))
	var asked, goodFor atomic.Int32
	goodFor.Store(2)
	opts.SAS = func(context.Context) (string, error) {
		if asked.Add(1) > goodFor.Load() {
			return ended, nil
		}
		return valid, nil
	}
	store := e.open(t, opts)
	upload := func() error {
		_, err := store.Put(t.Context(), "a", io.LimitReader(zeros{}, 40<<20), storage.PutOptions{IfAbsent: true})
		return err
	}
	wantCode(t, upload(), waybill.Blocked, "storage.expired_credentials")
	goodFor.Store(math.MaxInt32)
	if _, err := store.Stat(t.Context(), "a"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("after the upload that was cut off: %v", err)
	}
	if err := upload(); err != nil {
		t.Error(err)
	}
}

func TestAzureExpires(t *testing.T) {
	for signature, want := range map[string]time.Time{
		"sv=1&sig=x&se=2027-03-04T05:06:07Z":      time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC),
		"?sv=1&sig=x&se=2027-03-04T05%3A06%3A07Z": time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC),
		"sv=1&sig=x&se=2027-03-04T05:06Z":         time.Date(2027, 3, 4, 5, 6, 0, 0, time.UTC),
		"sv=1&sig=x&se=2027-03-04":                time.Date(2027, 3, 4, 0, 0, 0, 0, time.UTC),
		"sv=1&sig=x&si=policy":                    {}, // a policy of the container says it
	} {
		store := openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "acme", SAS: staticSecret(signature)})
		if got, err := store.Expires(t.Context()); err != nil || !got.Equal(want) {
			t.Errorf("%s ends %v, %v; want %v", signature, got, err, want)
		}
	}
	store := openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "acme", SAS: staticSecret("sv=1&sig=x&se=soon")})
	_, err := store.Expires(t.Context())
	wantCode(t, err, waybill.Blocked, "storage.bad_credentials")
	store = openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "acme", SharedKey: staticSecret(sharedKey)})
	if got, err := store.Expires(t.Context()); err != nil || !got.IsZero() {
		t.Errorf("a shared key ends %v, %v", got, err)
	}
}

// identityServer is what a machine of Azure's offers its programs:
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
func identityServer(t *testing.T, status int) *[]url.Values {
	t.Helper()
	var asked []url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query())
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"access_token":"token-1","expires_on":"%d","resource":"https://storage.azure.com","token_type":"Bearer"}`, time.Now().Add(24*time.Hour).Unix())
	}))
	t.Cleanup(server.Close)
	t.Setenv("IDENTITY_ENDPOINT", server.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	return &asked
}

func openIdentity(t *testing.T, h http.Handler, clientID string) *storage.Azure {
	t.Helper()
	server := httptest.NewTLSServer(h) // tokens are sent nowhere else
	t.Cleanup(server.Close)
	return openAzure(t, storage.AzureOptions{Account: "acmelake", Container: "acme", Endpoint: server.URL, Client: server.Client(),
		ManagedIdentity: clientID, Attempts: 1})
}

func TestAzureManagedIdentity(t *testing.T) {
	asked := identityServer(t, http.StatusOK)
	var bore []string
	store := openIdentity(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bore = append(bore, r.Header.Get("Authorization"))
		if r.URL.Query().Get("comp") == "userdelegationkey" {
			fmt.Fprint(w, `<UserDelegationKey><SignedOid>oid</SignedOid><SignedTid>tid</SignedTid><SignedStart>2026-01-01T00:00:00Z</SignedStart>`+
				`<SignedExpiry>2026-01-02T00:00:00Z</SignedExpiry><SignedService>b</SignedService><SignedVersion>2020-02-10</SignedVersion><Value>a2V5</Value></UserDelegationKey>`)
			return
		}
		w.Header().Set("ETag", `"0x1"`)
		w.WriteHeader(http.StatusCreated)
	}), "11111111-2222-4333-8444-555555555555")
	if _, err := store.Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	signed, err := store.Presign(t.Context(), "a", time.Minute)
	if err != nil || !strings.Contains(signed, "skoid=oid") || !strings.Contains(signed, "sp=r") || !strings.Contains(signed, "sig=") {
		t.Errorf("presigned: %s, %v", signed, err)
	}
	if fmt.Sprint(bore) != "[Bearer token-1 Bearer token-1]" {
		t.Errorf("the requests bore %q", bore)
	}
	if q := (*asked)[0]; q.Get("client_id") != "11111111-2222-4333-8444-555555555555" || !strings.HasPrefix(q.Get("resource"), "https://storage.azure.com") {
		t.Errorf("the machine was asked for %v", q)
	}
}

func TestAzureWithoutAnIdentity(t *testing.T) {
	identityServer(t, http.StatusBadRequest)
	store := openIdentity(t, http.NotFoundHandler(), "11111111-2222-4333-8444-000000000001") // tokens are kept by it, in the whole process
	for op, err := range everyOperation(t, store) {
		if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Verdict != waybill.Blocked || f.Code != "storage.no_credentials" {
			t.Errorf("%s: %v; want storage.no_credentials", op, err)
		}
	}
}

// Two uploads that meet on one key: who commits second finds its blocks gone,
// and learns whether that has decided its condition.
func TestAzureUploadThatLostItsBlocks(t *testing.T) {
	for name, tc := range map[string]struct {
		opts storage.PutOptions
		code string
	}{
		"if absent":              {storage.PutOptions{IfAbsent: true}, "storage.conflict"},
		"if it is the old one":   {storage.PutOptions{IfMatch: `"0x1"`}, "storage.conflict"},
		"if it is the very same": {storage.PutOptions{IfMatch: `"0x2"`}, "storage.contended"},
		"in any case":            {storage.PutOptions{}, "storage.contended"},
	} {
		t.Run(name, func(t *testing.T) {
			store := openMicrosoft(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"0x2"`)
				switch _, _ = io.Copy(io.Discard, r.Body); {
				case r.Method == http.MethodHead:
				case r.URL.Query().Get("comp") == "block":
					w.WriteHeader(http.StatusCreated)
				default:
					azureAnswer{400, "InvalidBlockList", nil}.ServeHTTP(w, r)
				}
			}), storage.AzureOptions{})
			_, err := store.Put(t.Context(), "a", io.LimitReader(zeros{}, 9<<20), tc.opts)
			wantCode(t, err, waybill.Transient, tc.code)
		})
	}
}

// A conditional write is sent once, whatever the answer; any other is
// repeated. What was sent can be checked.
func TestAzureUploadAttempts(t *testing.T) {
	for name, tc := range map[string]struct {
		opts storage.PutOptions
		size int64
		want string
	}{
		"put":               {storage.PutOptions{}, 10, "put 2"},
		"put, if absent":    {storage.PutOptions{IfAbsent: true}, 10, "put 1"},
		"put, if match":     {storage.PutOptions{IfMatch: `"0x1"`}, 10, "put 1"},
		"blocks":            {storage.PutOptions{}, 9 << 20, "block 2, blocklist 2"},
		"blocks, if absent": {storage.PutOptions{IfAbsent: true}, 9 << 20, "block 2, blocklist 1"},
	} {
		t.Run(name, func(t *testing.T) {
			requests := make(chan *http.Request, 20)
			store := openMicrosoft(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				requests <- r
				if r.URL.Query().Get("comp") == "block" {
					w.WriteHeader(http.StatusCreated)
					return
				}
				w.WriteHeader(http.StatusInternalServerError)
			}), storage.AzureOptions{Attempts: 2})
			_, err := store.Put(t.Context(), "a", io.LimitReader(zeros{}, tc.size), tc.opts)
			wantCode(t, err, waybill.Transient, "storage.unavailable")
			close(requests)
			if got := countOperations(t, requests, tc.opts); got != tc.want {
				t.Errorf("requests: %s; want %s", got, tc.want)
			}
		})
	}
}

func countOperations(t *testing.T, requests <-chan *http.Request, opts storage.PutOptions) string {
	t.Helper()
	counts := map[string]int{}
	for r := range requests {
		op := r.URL.Query().Get("comp")
		if op == "" {
			op = "put"
		}
		counts[op]++
		if op != "blocklist" && r.Header.Get("Content-MD5") == "" {
			t.Errorf("%s bears no checksum", op)
		}
		if op != "block" && ((r.Header.Get("If-None-Match") == "*") != opts.IfAbsent || r.Header.Get("If-Match") != opts.IfMatch) {
			t.Errorf("%s bears %v; want the conditions of %+v", op, r.Header, opts)
		}
	}
	var all []string
	for _, op := range []string{"put", "block", "blocklist"} {
		if counts[op] > 0 {
			all = append(all, fmt.Sprintf("%s %d", op, counts[op]))
		}
	}
	return strings.Join(all, ", ")
}
