package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
)

// answer is what a test's manager says to one request.
type answer struct {
	status int
	header map[string]string
	body   string
}

// server is a manager of secrets that speaks its vendor's protocol: it looks
// at each request, and answers by the request's path.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	answers  map[string]answer
	requests []string
	refuse   func(*http.Request) string // what is wrong with a request, if anything
}

func newServer(t *testing.T, refuse func(*http.Request) string, key func(*http.Request) string) *server {
	t.Helper()
	s := &server{answers: map[string]answer{}, refuse: refuse}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wrong, name := s.refuse(r), key(r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, name)
		a, ok := s.answers[name]
		switch {
		case wrong != "":
			t.Errorf("request %s: %s", name, wrong)
			a = answer{status: http.StatusTeapot}
		case !ok:
			a = answer{status: http.StatusTeapot, body: "no answer is prepared for " + name}
		}
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) says(name string, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = a
}

func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// toServer sends every request to the test's server, whatever host it is for,
// and remembers the hosts.
type toServer struct {
	addr  string
	hosts *[]string
}

func (t toServer) RoundTrip(req *http.Request) (*http.Response, error) {
	*t.hosts = append(*t.hosts, req.URL.Scheme+"://"+req.URL.Host)
	clone := req.Clone(req.Context())
	clone.URL.Scheme, clone.URL.Host = "http", t.addr
	return http.DefaultTransport.RoundTrip(clone)
}

// refusals are answers that every manager gives in words of its own, and what
// is made of them.
type refusal struct {
	answer
	verdict waybill.Verdict
	code    string
	after   time.Duration
}

// leak stands in every answer of a refusal: nothing of it may be shown.
const leak = "vendor-words-with-" + value

func wantRefused(t *testing.T, r *Resolver, text string, want refusal) {
	t.Helper()
	secret, err := r.Resolve(t.Context(), mustRef(t, text))
	f, ok := errors.AsType[*waybill.Failure](err)
	if !ok {
		t.Fatalf("%s: %v, want a failure", text, err)
	}
	if f.Verdict != want.verdict || f.Code != want.code || f.After != want.after || secret.Reveal() != "" {
		t.Errorf("%s: %s %s after %s (%v), want %s %s after %s", text, f.Verdict, f.Code, f.After, err, want.verdict, want.code, want.after)
	}
	if !strings.Contains(f.Action, text) || strings.Contains(err.Error()+f.Action, leak) {
		t.Errorf("%s: error %q, action %q", text, err, f.Action)
	}
}

func wantSecret(t *testing.T, r *Resolver, text, want string) {
	t.Helper()
	if s, err := r.Resolve(t.Context(), mustRef(t, text)); err != nil || s.Reveal() != want {
		t.Errorf("%s = %q, %v, want %q", text, s.Reveal(), err, want)
	}
}

// noCache asks the manager each time.
func noCache(name string, m manager) *Resolver {
	return &Resolver{providers: map[string]Provider{name: newCache(m, Options{now: time.Now})}}
}

func TestAWSSecretsManager(t *testing.T) {
	for name, text := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "aws-" + value, "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-central-1",
		"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, text)
	}
	region := "eu-central-1"
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
	s := newServer(t, func(r *http.Request) string {
		if got := r.Header.Get("X-Amz-Target"); r.Method != http.MethodPost || got != "secretsmanager.GetSecretValue" {
			return r.Method + " " + got
		}
		if got := r.Header.Get("Authorization"); !strings.Contains(got, "AWS4-HMAC-SHA256 Credential=AKIDTEST/") || !strings.Contains(got, "/"+region+"/secretsmanager/aws4_request") {
			return "is signed " + got
		}
		return ""
	}, func(r *http.Request) string {
		var in struct {
			ID string `json:"SecretId"` //nolint:tagliatelle // the API's name
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		return in.ID
	})
	m := newAWS(Options{Client: newClient()})
	m.endpoint = s.URL
	r := noCache("aws-sm", m)

	s.says("plain", answer{status: 200, body: `{"ARN":"arn:aws:x","CreatedDate":1.5E9,"Name":"plain","SecretString":"` + value + `","VersionId":"a","VersionStages":["AWSCURRENT"]}`})
	s.says("prod/acme", answer{status: 200, body: `{"Name":"prod/acme","SecretString":"{\"id\":\"AKID\",\"secret\":\"` + value + `\",\"port\":5432,\"empty\":\"\",\"list\":[1],\"sa\":{\"type\":\"service_account\"}}"}`})
	s.says("binary", answer{status: 200, body: `{"Name":"binary","SecretBinary":"aHVudGVyMg=="}`})
	wantSecret(t, r, "aws-sm:plain", value)
	wantSecret(t, r, "aws-sm:prod/acme#secret", value)
	wantSecret(t, r, "aws-sm:prod/acme#id", "AKID")
	wantSecret(t, r, "aws-sm:prod/acme#port", "5432")
	wantSecret(t, r, "aws-sm:prod/acme#sa", `{"type":"service_account"}`)
	wantSecret(t, r, "aws-sm:binary", "hunter2")
	missing := refusal{verdict: waybill.Blocked, code: "secret.unavailable"}
	for _, text := range []string{"aws-sm:plain#id", "aws-sm:prod/acme#none", "aws-sm:prod/acme#empty", "aws-sm:prod/acme#list"} {
		wantRefused(t, r, text, missing)
	}

	region = "us-west-2" // the ARN's own
	arn := "arn:aws:secretsmanager:us-west-2:123456789012:secret:far-AbCdEf"
	s.says(arn, answer{status: 200, body: `{"SecretString":"far"}`})
	wantSecret(t, r, "aws-sm:"+arn, "far")
	region = "eu-central-1"

	said := func(status int, code string) answer {
		return answer{status: status, header: map[string]string{"Content-Type": "application/x-amz-json-1.1"},
			body: fmt.Sprintf(`{"__type":"%s","Message":"%s"}`, code, leak)}
	}
	for _, want := range []refusal{
		{said(400, "ResourceNotFoundException"), waybill.Blocked, "secret.unavailable", 0},
		{said(400, "InvalidRequestException"), waybill.Blocked, "secret.unavailable", 0},
		{said(400, "AccessDeniedException"), waybill.Blocked, "secret.denied", 0},
		{said(400, "DecryptionFailure"), waybill.Blocked, "secret.denied", 0},
		{said(400, "ExpiredTokenException"), waybill.Blocked, "secret.denied", 0},
		{said(400, "ThrottlingException"), waybill.Throttled, "secret.throttled", retryAfter},
		{said(500, "InternalServiceError"), waybill.Transient, "secret.unreachable", 0},
		{said(503, "SomethingNew"), waybill.Transient, "secret.unreachable", 0},
	} {
		s.says("refused", want.answer)
		wantRefused(t, r, "aws-sm:refused", want)
	}
	s.Close()
	wantRefused(t, r, "aws-sm:plain", refusal{verdict: waybill.Transient, code: "secret.unreachable"})
}

func TestAWSSecretsManagerWithoutAnIdentity(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	r := noCache("aws-sm", newAWS(Options{Client: newClient()}))
	wantRefused(t, r, "aws-sm:acme", refusal{verdict: waybill.Blocked, code: "secret.unavailable"}) // no region
	t.Setenv("AWS_REGION", "eu-central-1")
	r = noCache("aws-sm", newAWS(Options{Client: newClient()}))
	wantRefused(t, r, "aws-sm:acme", refusal{verdict: waybill.Blocked, code: "secret.denied"})
}

func TestResolveEndsWithItsContext(t *testing.T) {
	s := newServer(t, func(*http.Request) string { return "" }, func(r *http.Request) string { return r.URL.Path })
	r := NewResolverWith(Options{Lookup: func(name string) (string, bool) {
		v, ok := map[string]string{"VAULT_ADDR": s.URL, "VAULT_TOKEN": "t"}[name]
		return v, ok
	}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Resolve(ctx, mustRef(t, "vault:secret/acme#key"))
	f, _ := errors.AsType[*waybill.Failure](err)
	if !errors.Is(err, context.Canceled) || f == nil || f.Verdict != waybill.Transient {
		t.Errorf("a cancelled Resolve gave %v", err)
	}
}
