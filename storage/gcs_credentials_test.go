package storage_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// tokenServerOf gives the tokens that next makes.
func tokenServerOf(t *testing.T, next func() string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, next())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// google stands for Google's services, by host name.
type google map[string]http.HandlerFunc

func (g google) RoundTrip(r *http.Request) (*http.Response, error) {
	handler, ok := g[r.URL.Host]
	if !ok {
		return http.DefaultTransport.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	handler(w, r)
	if r.Body != nil {
		r.Body.Close()
	}
	return w.Result(), nil
}

// Waybill's own token makes one of the account that it acts as, and that one reads.
func TestGCSImpersonates(t *testing.T) {
	const reader = "reader@acme.iam.gserviceaccount.com"
	var asked []string
	services := google{
		"iamcredentials.googleapis.com": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, r.URL.Path+" "+r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, ":signBlob") {
				var in struct{ Payload string }
				_ = json.Unmarshal(body, &in)
				fmt.Fprintf(w, `{"signedBlob":%q}`, base64.StdEncoding.EncodeToString([]byte("signed")))
				return
			}
			fmt.Fprintf(w, `{"accessToken":"acting","expireTime":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
		},
		"storage.googleapis.com": func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, "storage "+r.Header.Get("Authorization"))
			fmt.Fprint(w, `{"name":"a","size":"1","generation":"5","crc32c":"AAAAAA=="}`)
		},
	}
	store := openGCS(t, storage.GCSOptions{Bucket: "acme", Impersonate: reader, Client: &http.Client{Transport: services},
		ServiceAccountKey: staticSecret([]byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusOK))))})
	for range 2 { // the second time the token is still good
		if o, err := store.Stat(t.Context(), "a"); err != nil || o.ETag != "5" {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	signed, err := store.Presign(t.Context(), "a", time.Minute)
	if err != nil || !strings.Contains(signed, url.QueryEscape(reader)) || !strings.Contains(signed, "X-Goog-Signature="+hex.EncodeToString([]byte("signed"))) {
		t.Errorf("presigned: %s, %v", signed, err)
	}
	account := "/v1/projects/-/serviceAccounts/" + reader
	want := []string{account + ":generateAccessToken Bearer token-1", "storage Bearer acting", "storage Bearer acting", account + ":signBlob Bearer token-1"}
	if fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// That Waybill may not act as the account is not that the account may not read.
func TestGCSMayNotImpersonate(t *testing.T) {
	services := google{"iamcredentials.googleapis.com": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"code":403,"message":"vendor text","status":"PERMISSION_DENIED"}}`)
	}}
	store := openGCS(t, storage.GCSOptions{Bucket: "acme", Impersonate: "reader@acme.iam.gserviceaccount.com", Attempts: 1,
		Client:            &http.Client{Transport: services},
		ServiceAccountKey: staticSecret([]byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusOK))))})
	for op, err := range everyOperation(t, store) {
		wantCode(t, err, waybill.Blocked, "storage.role_refused")
		want := "Waybill may not act as the service account reader@acme.iam.gserviceaccount.com for the bucket acme: " +
			"grant Waybill's own identity roles/iam.serviceAccountTokenCreator on that account."
		if got := waybill.At(waybill.StageStage, err).Action; got != want {
			t.Errorf("%s says %q", op, got)
		}
	}
}

// A signed URL holds what Google checks: https://cloud.google.com/storage/docs/authentication/signatures
func TestGCSPresignedURLIsSigned(t *testing.T) {
	store := openGCS(t, storage.GCSOptions{Bucket: "acme", Prefix: "raw",
		ServiceAccountKey: staticSecret([]byte(testservers.ServiceAccount(t, tokenServer(t, http.StatusOK))))})
	text, err := store.Presign(t.Context(), "ümläut file", 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme != "https" || u.Host != "storage.googleapis.com" || u.Path != "/acme/raw/ümläut file" {
		t.Errorf("the URL is %s", text)
	}
	if seconds := q.Get("X-Goog-Expires"); seconds != "604799" && seconds != "604800" {
		t.Errorf("it is valid for %s seconds, want 7 days at most", seconds)
	}
	signature, err := hex.DecodeString(q.Get("X-Goog-Signature"))
	if err != nil {
		t.Fatal(err)
	}
	q.Del("X-Goog-Signature")
	canonical := sha256.Sum256(fmt.Appendf(nil, "GET\n%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD",
		u.EscapedPath(), strings.ReplaceAll(q.Encode(), "+", "%20"), u.Host))
	_, scope, _ := strings.Cut(q.Get("X-Goog-Credential"), "/")
	signed := sha256.Sum256(fmt.Appendf(nil, "GOOG4-RSA-SHA256\n%s\n%s\n%x", q.Get("X-Goog-Date"), scope, canonical))
	if err := rsa.VerifyPKCS1v15(&testservers.Key().PublicKey, crypto.SHA256, signed[:], signature); err != nil {
		t.Errorf("the signature of %s: %v", text, err)
	}
}

func TestGCSWithoutAnAccountCannotSign(t *testing.T) {
	store := openGCS(t, storage.GCSOptions{Bucket: "acme", Anonymous: true})
	_, err := store.Presign(t.Context(), "a", time.Minute)
	wantCode(t, err, waybill.Permanent, "storage.unsupported")
}

// What a read requires is sent, although emulators do not look at it.
func TestGCSReadSendsItsCondition(t *testing.T) {
	var header http.Header
	store := openGoogle(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		googleAnswer{412, "conditionNotMet", "PreconditionFailed", nil}.ServeHTTP(w, r)
	}), storage.GCSOptions{})
	_, _, err := store.Get(t.Context(), "a", storage.GetOptions{IfMatch: "17", Offset: 3, Length: 4})
	wantCode(t, err, waybill.Transient, "storage.conflict")
	if header.Get("X-Goog-If-Generation-Match") != "17" || header.Get("Range") != "bytes=3-6" {
		t.Errorf("the request bore %v", header)
	}
}

// A body that is not what Google keeps the checksum of is an error of the reader.
func TestGCSBrokenBody(t *testing.T) {
	store := openGoogle(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Goog-Hash", "crc32c=AAAAAA==")
		w.Header().Set("X-Goog-Generation", "5")
		_, _ = io.WriteString(w, "not what it was") // the client is gone if this fails
	}), storage.GCSOptions{})
	r, _, err := store.Get(t.Context(), "a", storage.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	wantCode(t, err, waybill.Transient, "storage.corrupted")
}
