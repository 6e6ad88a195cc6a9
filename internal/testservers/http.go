package testservers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"
)

// client opens a connection for each request, so that none is left idle for a
// test's leak check to find.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func uniqueName() string { return "test-" + rand.Text() }

// httpAnswers reports whether the URL answers with status 200.
func httpAnswers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // nothing of it was read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
