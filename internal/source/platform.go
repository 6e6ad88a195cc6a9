package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/netguard"
)

// The limits of one answer of the platform's API.
const (
	maxAnswerBytes = 64 << 20
	answerTimeout  = time.Minute
)

const askAgainAction = "The platform's API does not answer as it should at the moment; it is asked again by itself."

// getJSON asks the platform's API for what is at a path below its URL, and
// decodes the answer into v. Errors are a [waybill.Failure] without a stage
// whose code begins with "platform.", or the context's error.
func (p Platform) getJSON(ctx context.Context, web *netguard.Guard, path string, query url.Values, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, errSlow)
	defer cancel()
	req, err := p.request(ctx, path, query)
	if err != nil {
		return err
	}
	resp, err := web.Follow(req, p.mayRedirect)
	if err != nil {
		return platformFailure(ctx, err)
	}
	defer resp.Body.Close() // it was read
	if resp.StatusCode != http.StatusOK {
		return platformStatus(resp)
	}
	body := &io.LimitedReader{R: resp.Body, N: maxAnswerBytes}
	decoder := json.NewDecoder(body)
	if err = decoder.Decode(v); err == nil {
		if _, err = decoder.Token(); err == nil {
			err = errors.New("something follows the answer")
		}
	}
	switch {
	case body.N == 0:
		return waybill.Failf(waybill.Permanent, "platform.answer_too_large", "This is a fault of Waybill or of the platform's API; report it.", "more than %d bytes", maxAnswerBytes)
	case errors.Is(err, io.EOF):
		return nil
	}
	return platformFailure(ctx, err)
}

var errSlow = errors.New("the answer took too long")

func (p Platform) request(ctx context.Context, path string, query url.Values) (*http.Request, error) {
	base, err := url.Parse(p.URL)
	if err != nil || base.Host == "" {
		return nil, waybill.Failf(waybill.Blocked, "platform.settings", "Set platform.url in the fleet's configuration to the address of the platform's API.", "platform.url is no URL")
	}
	at := base.JoinPath(path)
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask the platform: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "waybill")
	if p.Key == nil {
		return req, nil
	}
	key, err := p.headerKey(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Api-Key", key)
	return req, nil
}

// headerKey is the key as a header's value.
func (p Platform) headerKey(ctx context.Context) (string, error) {
	key, err := p.Key(ctx)
	if err != nil {
		return "", err
	}
	if key == "" || strings.ContainsFunc(key, notPrintableASCII) {
		return "", waybill.Failf(waybill.Blocked, "source.bad_key", "Mend the secret that platform.apiKey refers to: a key is one line of printable characters without blanks.", "the platform's key is not a header's value")
	}
	return key, nil
}

// mayRedirect keeps the API from sending us, and what we ask, elsewhere.
func (p Platform) mayRedirect(to *url.URL) error {
	if own, err := url.Parse(p.URL); err == nil && below(own, to) {
		return nil
	}
	return waybill.Failf(waybill.Permanent, "platform.redirect_refused", "The platform's API redirects to another server; set platform.url to the address that it leads to.", "redirect to %.300q", to.Host)
}

// platformFailure makes what went wrong on the way, or with the answer's text,
// the platform's failure.
func platformFailure(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errSlow) {
		return err
	}
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		g := *f
		if code, network := strings.CutPrefix(f.Code, "net."); network {
			g.Code, g.Err = "platform."+code, err
		}
		return &g
	}
	return waybill.Failf(waybill.Transient, "platform.unreadable", askAgainAction, "answer of the platform: %w", err)
}

// platformAnswers is the one table of what its API's statuses mean; others from 500 on
// are Transient, others below Permanent.
var platformAnswers = []answer{
	{[]int{http.StatusUnauthorized, http.StatusForbidden}, waybill.Blocked, "platform.access_denied",
		"The platform refuses Waybill's key; check platform.apiKey in the fleet's configuration and what the key may read.", nil},
	{[]int{http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable}, waybill.Throttled, "platform.throttled",
		"The platform's API asks for patience; it is asked again by itself.", nil},
	{[]int{http.StatusNotFound}, waybill.Blocked, "platform.not_found",
		"The platform does not know a workflow that it was asked about; correct the workflow's id, or check what the key of platform.apiKey may read.", nil},
}

// platformStatus is what an answer other than the wanted one means. Nothing of
// its body is repeated.
func platformStatus(resp *http.Response) error {
	a := answer{nil, waybill.Permanent, "platform.refused",
		fmt.Sprintf("The platform's API answers with HTTP status %d to what Waybill asks; check platform.url, and the version of Waybill.", resp.StatusCode), nil}
	if resp.StatusCode >= http.StatusInternalServerError {
		a = answer{nil, waybill.Transient, "platform.unavailable", askAgainAction, nil}
	}
	if i := slices.IndexFunc(platformAnswers, func(a answer) bool { return slices.Contains(a.statuses, resp.StatusCode) }); i >= 0 {
		a = platformAnswers[i]
	}
	f := waybill.Failf(a.verdict, a.code, a.action, "the platform answers with HTTP status %d", resp.StatusCode)
	if a.verdict == waybill.Throttled {
		f.After = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return f
}
