package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// What a real gateway answers.
func TestS3FailuresOfAGateway(t *testing.T) {
	g := startGateway(t)
	options := g.bucket(t)
	for name, tc := range map[string]struct {
		change func(*storage.S3Options)
		code   string
		action string
	}{
		"no bucket": {func(o *storage.S3Options) { o.Bucket = "nowhere" },
			"storage.no_bucket", "The bucket nowhere does not exist; create it, or correct the connector's url."},
		"unknown access key": {func(o *storage.S3Options) {
			o.Keys = staticKeys(storage.Keys{AccessKeyID: "AKIASTRANGER", SecretAccessKey: g.server.SecretKey})
		}, "storage.unknown_access_key", "The access key id for the bucket bucket-1 is not known there; correct the connector's accessKeyId."},
		"wrong secret": {func(o *storage.S3Options) {
			o.Keys = staticKeys(storage.Keys{AccessKeyID: g.server.AccessKey, SecretAccessKey: "wrong"})
		}, "storage.bad_credentials", "The credentials for the bucket bucket-1 are not accepted; correct the connector's access, the secretAccessKey above all."},
		"wrong region": {func(o *storage.S3Options) { o.Region = "eu-west-3" },
			"storage.wrong_region", "The bucket bucket-1 is in another region; set the connector's region to that."},
	} {
		t.Run(name, func(t *testing.T) {
			opts := options
			tc.change(&opts)
			for op, err := range everyOperation(t, g.open(t, opts)) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Verdict != waybill.Blocked || f.Code != tc.code || f.Action != tc.action {
					t.Errorf("%s: %+v; want %s: %s", op, f, tc.code, tc.action)
				}
				if text := fmt.Sprint(err); strings.Contains(text, g.server.SecretKey) {
					t.Errorf("%s tells the secret: %s", op, text)
				}
			}
		})
	}
}

// meaning is what a vendor's answer is to be told as, whatever it was asked.
type meaning struct {
	verdict waybill.Verdict
	code    string
	action  string // part of it
	after   time.Duration
	is      error
}

// check holds what an operation returned against it. None of the vendor's own
// text may be in the sentence, and no secret anywhere.
func (m meaning) check(t *testing.T, op string, err error, secrets ...string) {
	t.Helper()
	if op == "Delete" && m.code == "storage.not_found" {
		if err != nil {
			t.Errorf("Delete of nothing: %v", err)
		}
		return
	}
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok || f.Verdict != m.verdict || f.Code != m.code || f.After != m.after || !strings.Contains(f.Action, m.action) {
		t.Errorf("%s: %+v; want %s %s", op, f, m.verdict, m.code)
		return
	}
	if m.is != nil && !errors.Is(err, m.is) {
		t.Errorf("%s: %v does not match %v", op, err, m.is)
	}
	if strings.Contains(f.Action, "vendor text") || strings.Contains(f.Action, "{") {
		t.Errorf("%s: the sentence is %q", op, f.Action)
	}
	for _, secret := range secrets {
		if strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%s: the cause tells a secret: %v", op, err)
		}
	}
}

func everyOperation(t *testing.T, s storage.Store) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	_, errs["Put"] = s.Put(ctx, "a/b", strings.NewReader("x"), storage.PutOptions{})
	_, errs["multipart Put"] = s.Put(ctx, "a/b", io.LimitReader(zeros{}, 9<<20), storage.PutOptions{})
	_, errs["Stat"] = s.Stat(ctx, "a/b")
	_, _, errs["Get"] = s.Get(ctx, "a/b", storage.GetOptions{})
	_, errs["Copy"] = s.Copy(ctx, "a/b", "a/c")
	errs["Delete"] = s.Delete(ctx, "a/b")
	for _, err := range s.List(ctx, "a/") {
		errs["List"] = err
	}
	return errs
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// answer is what a store says to every request.
type answer struct {
	status int
	code   string
	header http.Header
}

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the client may see a broken connection and not the answer
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead && a.code != "" { // a HEAD's answer has no body to bear a code
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>vendor text</Message></Error>`, a.code)
	}
}

func openHandler(t *testing.T, h http.Handler) *storage.S3 {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return openEndpoint(t, server.URL, server.Client())
}

func openEndpoint(t *testing.T, endpoint string, client *http.Client) *storage.S3 {
	t.Helper()
	s, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Endpoint: endpoint, PathStyle: true, Attempts: 1, Client: client,
		Keys: staticKeys(storage.Keys{AccessKeyID: "AKIATEST", SecretAccessKey: "a-secret"})})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What other stores answer, and a gateway without users and faults does not.
func TestS3FailuresByAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer answer
		want   meaning
	}{
		"access denied":      {answer{403, "AccessDenied", nil}, meaning{waybill.Blocked, "storage.access_denied", "the bucket acme", 0, nil}},
		"expired token":      {answer{400, "ExpiredToken", nil}, meaning{waybill.Blocked, "storage.expired_credentials", "renew", 0, nil}},
		"invalid token":      {answer{400, "InvalidToken", nil}, meaning{waybill.Blocked, "storage.bad_credentials", "", 0, nil}},
		"clock skew":         {answer{403, "RequestTimeTooSkewed", nil}, meaning{waybill.Blocked, "storage.clock_skew", "clock", 0, nil}},
		"bucket name":        {answer{400, "InvalidBucketName", nil}, meaning{waybill.Blocked, "storage.no_bucket", "acme", 0, nil}},
		"quota":              {answer{403, "QuotaExceeded", nil}, meaning{waybill.Blocked, "storage.full", "make room", 0, nil}},
		"archived":           {answer{403, "InvalidObjectState", nil}, meaning{waybill.Blocked, "storage.archived", "restore", 0, nil}},
		"unknown status 401": {answer{401, "", nil}, meaning{waybill.Blocked, "storage.bad_credentials", "", 0, nil}},
		"wrong region, named": {answer{301, "PermanentRedirect", http.Header{"X-Amz-Bucket-Region": {"eu-west-1"}}},
			meaning{waybill.Blocked, "storage.wrong_region", "The bucket acme is in region eu-west-1; set the connector's region to that.", 0, nil}},
		"wrong region, a nonsense header": {answer{301, "PermanentRedirect", http.Header{"X-Amz-Bucket-Region": {strings.Repeat("x", 999)}}},
			meaning{waybill.Blocked, "storage.wrong_region", "another region", 0, nil}},

		"slow down":               {answer{503, "SlowDown", nil}, meaning{waybill.Throttled, "storage.throttled", "", 5 * time.Second, nil}},
		"slow down, so long":      {answer{503, "SlowDown", http.Header{"Retry-After": {"42"}}}, meaning{waybill.Throttled, "storage.throttled", "", 42 * time.Second, nil}},
		"slow down, for ever":     {answer{503, "", http.Header{"Retry-After": {"99999999"}}}, meaning{waybill.Throttled, "storage.throttled", "", time.Hour, nil}},
		"slow down, until a past": {answer{429, "", http.Header{"Retry-After": {"Wed, 15 Jan 2025 10:30:00 GMT"}}}, meaning{waybill.Throttled, "storage.throttled", "", 5 * time.Second, nil}},

		"internal error": {answer{500, "InternalError", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"bad gateway":    {answer{502, "", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"odd 5xx":        {answer{520, "", nil}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
		"bad digest":     {answer{400, "BadDigest", nil}, meaning{waybill.Transient, "storage.corrupted", "", 0, nil}},
		"precondition":   {answer{412, "PreconditionFailed", nil}, meaning{waybill.Transient, "storage.conflict", "", 0, storage.ErrPrecondition}},
		"contended":      {answer{409, "ConditionalRequestConflict", nil}, meaning{waybill.Transient, "storage.contended", "", 0, nil}},

		"no such key":   {answer{404, "NoSuchKey", nil}, meaning{waybill.Permanent, "storage.not_found", "", 0, storage.ErrNotExist}},
		"not there":     {answer{501, "NotImplemented", nil}, meaning{waybill.Permanent, "storage.unsupported", "", 0, errors.ErrUnsupported}},
		"no S3 at all":  {answer{404, "", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
		"a web page":    {answer{404, "</Code><br>", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
		"odd 4xx":       {answer{418, "Teapot", nil}, meaning{waybill.Permanent, "storage.refused", "", 0, nil}},
		"entity":        {answer{400, "EntityTooLarge", nil}, meaning{waybill.Permanent, "storage.too_large", "maxFileBytes", 0, nil}},
		"temp redirect": {answer{307, "TemporaryRedirect", http.Header{"Location": {"http://192.0.2.1/"}}}, meaning{waybill.Transient, "storage.unavailable", "", 0, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			for op, err := range everyOperation(t, openHandler(t, tc.answer)) {
				tc.want.check(t, op, err, "a-secret")
			}
		})
	}
}

func TestS3AccessDeniedNamesThePermission(t *testing.T) {
	want := map[string]string{
		"Put": "s3:PutObject", "multipart Put": "s3:PutObject", "Stat": "s3:GetObject and s3:ListBucket", "Get": "s3:GetObject and s3:ListBucket",
		"Copy": "s3:GetObject and s3:PutObject", "Delete": "s3:DeleteObject", "List": "s3:ListBucket",
	}
	for op, err := range everyOperation(t, openHandler(t, answer{403, "AccessDenied", nil})) {
		f, _ := errors.AsType[*waybill.Failure](err)
		if sentence := "Waybill may not use the bucket acme: allow it " + want[op] + " there."; f == nil || f.Action != sentence {
			t.Errorf("%s: %+v; want %q", op, f, sentence)
		}
	}
}

func TestS3FailuresOfTheNetwork(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	selfSigned := httptest.NewUnstartedServer(http.NotFoundHandler())
	selfSigned.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it would log each refused handshake
	selfSigned.StartTLS()
	defer selfSigned.Close()
	hangingUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangingUp.Close()
	for name, tc := range map[string]struct {
		endpoint string
		verdict  waybill.Verdict
		code     string
	}{
		"nobody listens":        {gone.URL, waybill.Transient, "storage.unreachable"},
		"it hangs up":           {hangingUp.URL, waybill.Transient, "storage.unreachable"},
		"its name is not known": {"http://store.invalid", waybill.Transient, "storage.unreachable"},
		"its certificate":       {selfSigned.URL, waybill.Blocked, "storage.tls"},
	} {
		t.Run(name, func(t *testing.T) {
			for op, err := range everyOperation(t, openEndpoint(t, tc.endpoint, nil)) {
				f, ok := errors.AsType[*waybill.Failure](err)
				if !ok || f.Verdict != tc.verdict || f.Code != tc.code {
					t.Errorf("%s: %v; want %s %s", op, err, tc.verdict, tc.code)
				}
			}
		})
	}
}

// A body that ends too early, or is not what the store keeps the checksum of,
// is an error of the reader.
func TestS3BrokenBody(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"ends early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half of it") // the client is gone if this fails
		},
		"was changed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
			_, _ = io.WriteString(w, "not what it was")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := openHandler(t, handler).Get(t.Context(), "a", storage.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Verdict != waybill.Transient {
				t.Errorf("reading gives %v; want a transient failure", err)
			}
		})
	}
}

// A source of keys that classifies its own faults is believed.
func TestS3KeysThatFail(t *testing.T) {
	own := waybill.Failf(waybill.Blocked, "secrets.missing", "Set the variable ACME_KEY.", "not set")
	for name, tc := range map[string]struct {
		keys storage.Keys
		err  error
		code string
	}{
		"a failure":      {storage.Keys{}, fmt.Errorf("accessKeyId: %w", own), "secrets.missing"},
		"another error":  {storage.Keys{}, errors.New("file is gone"), "storage.no_credentials"},
		"empty keys":     {storage.Keys{}, nil, "storage.no_credentials"},
		"half of a pair": {storage.Keys{AccessKeyID: "AKIA"}, nil, "storage.no_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme", Region: "eu-central-1",
				Keys: func(context.Context) (storage.Keys, error) { return tc.keys, tc.err }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Stat(t.Context(), "a")
			if f, ok := errors.AsType[*waybill.Failure](err); !ok || f.Verdict != waybill.Blocked || f.Code != tc.code {
				t.Errorf("got %v, want %s", err, tc.code)
			}
		})
	}
}

func TestKeysNeverPrint(t *testing.T) {
	keys := storage.Keys{AccessKeyID: "AKIA", SecretAccessKey: "hush", SessionToken: "token"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, keys) + fmt.Sprintf(verb, &keys); strings.Contains(text, "hush") || strings.Contains(text, "token") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
