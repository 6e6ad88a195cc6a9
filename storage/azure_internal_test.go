package storage

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/waybillhq/waybill"
)

// brokenIdentity has no tokens.
type brokenIdentity struct{ err error }

func (b brokenIdentity) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, b.err
}

// What heals by itself is not taken for an identity that is not there. (The
// identity's own client would try for ten seconds first.)
func TestAzureIdentityThatFails(t *testing.T) {
	answered := func(status int) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://169.254.169.254/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status, Request: req, Body: io.NopCloser(strings.NewReader(""))}}
	}
	for name, tc := range map[string]struct {
		err     error
		verdict waybill.Verdict
		code    string
	}{
		"a fault of its own": {answered(http.StatusInternalServerError), waybill.Transient, "storage.unavailable"},
		"too many questions": {answered(http.StatusTooManyRequests), waybill.Throttled, "storage.throttled"},
		"not allowed":        {answered(http.StatusForbidden), waybill.Blocked, "storage.no_credentials"},
		"not there":          {errors.New("no managed identity endpoint found"), waybill.Blocked, "storage.no_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := azureToken{brokenIdentity{tc.err}}.GetToken(t.Context(), policy.TokenRequestOptions{})
			store := &Azure{opts: AzureOptions{Container: "acme"}}
			f, ok := errors.AsType[*waybill.Failure](store.fail(t.Context(), "", err))
			if !ok || f.Verdict != tc.verdict || f.Code != tc.code {
				t.Errorf("%+v; want %s %s", f, tc.verdict, tc.code)
			}
		})
	}
}

// An upload that is larger than the service takes fails as soon as that is seen.
func TestAzureUploadTooLarge(t *testing.T) {
	staged := make(chan string, 10)
	store := &Azure{opts: AzureOptions{Container: "acme"}, memory: NewPartMemory(4), maxBlocks: 3}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	p := newParts(ctx, store.memory, endless{})
	defer p.buffers.release()
	first, err := p.read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = p.sendAll(ctx, cancel, first, store.maxBlocks, func(context.Context, int32, part) error { staged <- ""; return nil })
	f, ok := errors.AsType[*waybill.Failure](store.fail(t.Context(), azureWrite, err))
	if !ok || f.Code != "storage.too_large" || len(staged) != 3 {
		t.Errorf("after %d blocks: %v; want storage.too_large after 3", len(staged), err)
	}
}
