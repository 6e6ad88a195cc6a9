package storage_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// tokenService is an AWS STS that gives a session for each request. A session lasts
// for the given time.
type tokenService struct {
	lasts  time.Duration
	refuse string // with this code

	mu    sync.Mutex
	asked []url.Values
	bore  []string // the access keys that asked
}

func (r *tokenService) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.bore = append(r.asked, form), append(r.bore, accessKey(req))
	if r.refuse != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>vendor text</Message></Error></ErrorResponse>`, r.refuse)
		return
	}
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIA%d</AccessKeyId>`+
		`<SecretAccessKey>hush</SecretAccessKey><SessionToken>session-%d</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
		len(r.asked), len(r.asked), time.Now().Add(r.lasts).UTC().Format(time.RFC3339))
}

// accessKey is whose key a request was signed with.
func accessKey(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	return key
}

const roleARN = "arn:aws:iam::123456789012:role/waybill"

// openRole opens a bucket on a server of the test's as a role.
func openRole(t *testing.T, bucket http.Handler, sts *tokenService, opts storage.S3Options) *storage.S3 {
	t.Helper()
	server, service := httptest.NewServer(bucket), httptest.NewServer(sts)
	t.Cleanup(server.Close)
	t.Cleanup(service.Close)
	opts.Bucket, opts.Endpoint, opts.PathStyle, opts.Attempts, opts.Client = "acme", server.URL, true, 1, plainClient(t)
	opts.RoleARN, opts.STSEndpoint = roleARN, service.URL
	if opts.Keys == nil {
		opts.Keys = staticKeys(storage.Keys{AccessKeyID: "AKIAOWN", SecretAccessKey: "own"})
	}
	s, err := storage.NewS3(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bucketServer takes every upload and remembers who signed it.
type bucketServer struct {
	mu      sync.Mutex
	signers []string
	headers map[string]http.Header // by what was asked
}

func (s *bucketServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers = append(s.signers, accessKey(r)+" "+r.Header.Get("X-Amz-Security-Token"))
	op := r.Method
	switch query := r.URL.Query(); {
	case query.Has("uploads"):
		op = "create"
		fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>`)
	case r.Method == http.MethodPost:
		op = "complete"
		fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
	case query.Has("partNumber"):
		op = "part"
		w.Header().Set("ETag", `"part"`)
	case r.Header.Get("X-Amz-Copy-Source") != "":
		op = "copy"
		fmt.Fprint(w, `<CopyObjectResult><ETag>"copy"</ETag></CopyObjectResult>`)
	}
	if s.headers == nil {
		s.headers = map[string]http.Header{}
	}
	s.headers[op] = r.Header
}

// The role is assumed with Waybill's own keys and the connector's external id.
func TestS3AssumesARole(t *testing.T) {
	sts, bucket := &tokenService{lasts: time.Hour}, &bucketServer{}
	store := openRole(t, bucket, sts, storage.S3Options{ExternalID: "external-7"})
	for range 3 {
		put(t, store, "a", "text")
	}
	if len(sts.asked) != 1 || sts.asked[0].Get("RoleArn") != roleARN || sts.asked[0].Get("ExternalId") != "external-7" || sts.bore[0] != "AKIAOWN" {
		t.Errorf("STS was asked %v by %v; want once for the role with its external id", sts.asked, sts.bore)
	}
	if fmt.Sprint(bucket.signers) != "[ASIA1 session-1 ASIA1 session-1 ASIA1 session-1]" {
		t.Errorf("the bucket was asked by %v", bucket.signers)
	}
}

// A session that ends while an upload is under way is renewed.
func TestS3SessionIsRenewedUnderWay(t *testing.T) {
	sts, bucket := &tokenService{lasts: time.Second}, &bucketServer{} // which is sooner than the margin
	store := openRole(t, bucket, sts, storage.S3Options{})
	if _, err := store.Put(t.Context(), "a", io.LimitReader(zeros{}, 9<<20), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(bucket.signers); n != 4 || bucket.signers[0] == bucket.signers[3] {
		t.Errorf("the bucket was asked by %v; want 4 requests, and another session at the end", bucket.signers)
	}
}

func TestS3RoleThatIsRefused(t *testing.T) {
	for refusal, want := range map[string]struct {
		verdict      waybill.Verdict
		code, action string
	}{
		"AccessDenied": {waybill.Blocked, "storage.role_refused", "Waybill may not act as the role " + roleARN + " for the bucket acme: " +
			"let the role's trust policy name Waybill's own identity and the connector's external id."},
		"ExpiredToken":          {waybill.Blocked, "storage.expired_credentials", "The temporary access key for the bucket acme has expired; renew it in the connector's access."},
		"SignatureDoesNotMatch": {waybill.Blocked, "storage.bad_credentials", ""},
		"Throttling":            {waybill.Throttled, "storage.throttled", ""},
	} {
		t.Run(refusal, func(t *testing.T) {
			store := openRole(t, http.NotFoundHandler(), &tokenService{refuse: refusal}, storage.S3Options{ExternalID: "external-7"})
			for op, err := range everyOperation(t, store) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Verdict != want.verdict || f.Code != want.code || (want.action != "" && f.Action != want.action) {
					t.Errorf("%s: %+v; want %s: %s", op, f, want.code, want.action)
				}
				if text := fmt.Sprint(err); strings.Contains(text, "hush") {
					t.Errorf("%s tells the secret: %s", op, text)
				}
			}
		})
	}
}

// What is written is encrypted with the connector's key, and who may not use
// that key is told so.
func TestS3EncryptsWithTheConnectorsKey(t *testing.T) {
	const key = "arn:aws:kms:eu-central-1:123456789012:key/1"
	bucket := &bucketServer{}
	store := openRole(t, bucket, &tokenService{lasts: time.Hour}, storage.S3Options{KMSKeyID: key})
	everyOperation(t, store)
	for _, op := range []string{"PUT", "create", "copy"} {
		h := bucket.headers[op]
		if h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || h.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != key {
			t.Errorf("%s bears %v; want encryption with the key", op, h)
		}
	}
	for _, op := range []string{"part", "complete", "GET"} { // they would be refused with it
		if h := bucket.headers[op]; h.Get("X-Amz-Server-Side-Encryption") != "" {
			t.Errorf("%s bears %v", op, h)
		}
	}
}

func TestS3KeyThatCannotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		answer answer
		code   string
		action string
	}{
		"not allowed": {answer{403, "AccessDenied", nil}, "storage.access_denied",
			"Waybill may not use the bucket acme: allow it s3:PutObject and, for its KMS key, kms:GenerateDataKey and kms:Decrypt there."},
		"not there": {answer{400, "KMS.NotFoundException", nil}, "storage.encryption_key", "correct the connector's kmsKeyId"},
		"disabled":  {answer{400, "KMS.DisabledException", nil}, "storage.encryption_key", "enable it"},
	} {
		t.Run(name, func(t *testing.T) {
			store := openRole(t, tc.answer, &tokenService{lasts: time.Hour}, storage.S3Options{KMSKeyID: "alias/acme"})
			_, err := store.Put(t.Context(), "a", strings.NewReader("x"), storage.PutOptions{})
			f, ok := errors.AsType[*waybill.Failure](err)
			if !ok || f.Verdict != waybill.Blocked || f.Code != tc.code || !strings.Contains(f.Action, tc.action) {
				t.Errorf("%+v; want %s: %s", f, tc.code, tc.action)
			}
		})
	}
}

func TestNewS3RefusesRoles(t *testing.T) {
	_, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Region: "eu-central-1", RoleARN: "waybill", STSEndpoint: "sts"})
	for _, want := range []string{"roleArn: is not an ARN; write it as arn:aws:iam::123456789012:role/name", "stsEndpoint: is not a URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	_, err = storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Region: "eu-central-1", ExternalID: "x"})
	if err == nil || !strings.Contains(err.Error(), "externalId: is given without a roleArn") {
		t.Errorf("an external id alone: %v", err)
	}
}
