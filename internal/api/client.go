package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Client asks a fleet's API.
type Client struct {
	URL   string // of a scheduler, without a path
	Token string
	HTTP  *http.Client // default: one with a time limit
}

// Submit hands in a run.
func (c Client) Submit(ctx context.Context, run waybill.Run) (in HandedIn, err error) {
	return in, c.do(ctx, http.MethodPost, "/v1/runs", run, &in)
}

// List returns one page of deliveries, newest first.
func (c Client) List(ctx context.Context, f ledger.Filter) (ledger.Page, error) {
	q := url.Values{}
	for name, value := range map[string]string{"team": f.Team, "connector": f.Connector, "workflow": f.Workflow, "job": f.Job,
		"state": string(f.State), "stage": string(f.Stage), "cursor": f.Cursor, "since": moments(f.Since), "until": moments(f.Until)} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(min(f.Limit, pageMost)))
	}
	var page Deliveries
	err := c.do(ctx, http.MethodGet, "/v1/deliveries?"+q.Encode(), nil, &page)
	return ledger.Page{Deliveries: page.Deliveries, Cursor: page.Next}, err
}

func moments(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Story returns a delivery, what happened to it, and its receipt.
func (c Client) Story(ctx context.Context, id string) (s ledger.Story, err error) {
	return s, c.do(ctx, http.MethodGet, "/v1/deliveries/"+url.PathEscape(id), nil, &s)
}

// Retry sends a failed or blocked delivery on its way again.
func (c Client) Retry(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/v1/deliveries/"+url.PathEscape(id)+"/retry", nil, nil)
}

// most bytes of an answer: a page of 500 deliveries is less than one MiB.
const mostAnswer = 32 << 20

func (c Client) do(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.URL, "/")+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := cmp.Or(c.HTTP, &http.Client{Timeout: timeout + 10*time.Second}).Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.URL, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.URL, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("answer of %s: %w", c.URL, err)
	}
	return nil
}

// refusal is what the API said of a request that it did not do.
func refusal(status string, answer []byte) error {
	var p Problem
	if json.Unmarshal(answer, &p) != nil || p.Title == "" {
		return fmt.Errorf("the server answers %s; is it a scheduler of Waybill?", status)
	}
	if len(p.Errors) > 0 {
		return p.Errors
	}
	return &p
}
