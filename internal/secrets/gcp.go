package secrets

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// gcpManager is Google Secret Manager, with the process's own identity:
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
// It is one GET with a bearer token, so only the library that finds the
// identity is used, and not the client, which brings gRPC.
type gcpManager struct {
	opts     Options
	endpoint string

	mu     sync.Mutex
	tokens oauth2.TokenSource
}

var _ manager = (*gcpManager)(nil)

func newGCP(opts Options) *gcpManager {
	return &gcpManager{opts: opts, endpoint: "https://secretmanager.googleapis.com"}
}

type gcpAnswer struct {
	Payload struct {
		Data       []byte `json:"data"`
		DataCRC32C string `json:"dataCrc32c"`
	} `json:"payload"`
	// https://cloud.google.com/apis/design/errors#http_mapping
	Error struct {
		Status string `json:"status"`
	} `json:"error"`
}

func (m *gcpManager) fetch(ctx context.Context, secret string) (string, error) {
	token, err := m.token()
	if err != nil {
		return "", gcpTokenError(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.endpoint+"/v1/"+secret+":access", http.NoBody)
	if err != nil {
		return "", err
	}
	token.SetAuthHeader(req)
	var answer gcpAnswer
	resp, err := call(ctx, m.opts.Client, req, &answer)
	switch {
	case err != nil:
		return "", err
	case !resp.ok():
		return "", resp.refusal(answer.Error.Status)
	}
	return answer.text()
}

// text is the payload, held against its checksum:
// https://cloud.google.com/secret-manager/docs/data-integrity
func (a gcpAnswer) text() (string, error) {
	if a.Payload.DataCRC32C != "" {
		sum := crc32.Checksum(a.Payload.Data, crc32.MakeTable(crc32.Castagnoli))
		if a.Payload.DataCRC32C != strconv.FormatUint(uint64(sum), 10) {
			return "", fmt.Errorf("%w: the answer does not have the checksum that it names", errUnreachable)
		}
	}
	return string(a.Payload.Data), nil
}

func (m *gcpManager) token() (*oauth2.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens == nil {
		// The source keeps this context for later requests: it must not end with a caller's.
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, m.opts.Client)
		found, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform")
		if err != nil {
			return nil, err
		}
		m.tokens = found.TokenSource
	}
	return m.tokens.Token()
}

func gcpTokenError(err error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answer.Response != nil {
		if s := answer.Response.StatusCode; s >= 500 || s == http.StatusTooManyRequests {
			return fmt.Errorf("%w: get a token: HTTP %d", errUnreachable, s)
		}
		return fmt.Errorf("%w: get a token: HTTP %d %s", errDenied, answer.Response.StatusCode, answer.ErrorCode)
	}
	if _, ok := errors.AsType[*url.Error](err); ok { // no answer at all
		return fmt.Errorf("%w: get a token: %w", errUnreachable, err)
	}
	return fmt.Errorf("%w: find our identity at Google: %w", errDenied, err)
}
