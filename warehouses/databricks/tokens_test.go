package databricks_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	fake "github.com/waybillhq/waybill/internal/fakes/databricks"
	"github.com/waybillhq/waybill/warehouses/databricks"
)

// take opens a link, as the customer does, and returns the bearer token.
func (b *bench) take(l databricks.Link) string {
	b.t.Helper()
	_, link, _ := strings.Cut(l.Reveal(), "?")
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.server.URL+"/api/2.1/unity-catalog/public/data_sharing_activation/"+link, http.NoBody)
	b.must(err)
	answer, err := http.DefaultClient.Do(r)
	b.must(err)
	defer answer.Body.Close()
	var profile struct{ BearerToken string }
	b.must(json.NewDecoder(answer.Body).Decode(&profile))
	if answer.StatusCode != http.StatusOK || profile.BearerToken == "" {
		b.t.Fatalf("activation: %s", answer.Status)
	}
	return profile.BearerToken
}

func TestTheActivationLinkIsFetchedLiveAndWorksOnce(t *testing.T) {
	b := setup(t)
	b.publish(acmeOpen, b.write(acmeOpen, "WF_MOVIES__V1", moviesV1))
	link, token, err := b.w.Activation(t.Context(), acmeOpen)
	b.must(err)
	if token.Taken || !token.ExpiresAt.Equal(b.now.Add(acmeOpen.TokenLifetime)) {
		t.Errorf("token is %+v", token)
	}
	bearer := b.take(link)
	if !b.server.Opens(bearer, "203.0.113.7") || b.server.Opens(bearer, "198.51.100.7") {
		t.Error("the token opens the share from the wrong addresses")
	}
	_, token, err = b.w.Activation(t.Context(), acmeOpen)
	failed(t, err, waybill.Blocked, "databricks.activated", "rotate")
	if !token.Taken {
		t.Errorf("token is %+v", token)
	}
}

func TestTheActivationLinkNeverPrints(t *testing.T) {
	b := setup(t)
	_, err := b.w.Provision(t.Context(), acmeOpen)
	b.must(err)
	link, _, err := b.w.Activation(t.Context(), acmeOpen)
	b.must(err)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("handed out", "link", link)
	slog.New(slog.NewTextHandler(&log, nil)).Info("handed out", "link", link, "in", struct{ L databricks.Link }{link})
	doc, err := json.Marshal(map[string]any{"link": link})
	b.must(err)
	_, secret, _ := strings.Cut(link.Reveal(), "?")
	for _, text := range []string{fmt.Sprint(link), fmt.Sprintf("%v %+v %#v %s %q", link, link, link, link, link), fmt.Sprintf("%v", []databricks.Link{link}), string(doc), log.String()} {
		if strings.Contains(text, secret) || !strings.Contains(text, "activation link") {
			t.Errorf("printed %s", text)
		}
	}
}

func TestRotationOverlapsAndTheNewTokenHasTheConnectorsLifetime(t *testing.T) {
	b := setup(t)
	b.server.SetTokenLifetime(365 * 24 * time.Hour)
	b.publish(acmeOpen, b.write(acmeOpen, "WF_MOVIES__V1", moviesV1))
	link, first, err := b.w.Activation(t.Context(), acmeOpen)
	b.must(err)
	old := b.take(link)
	b.now = b.now.Add(80 * 24 * time.Hour)
	second, err := b.w.Rotate(t.Context(), acmeOpen, first.ID, 24*time.Hour)
	if err != nil || second.ID == first.ID || !second.ExpiresAt.Equal(b.now.Add(acmeOpen.TokenLifetime)) {
		t.Fatalf("rotated to %+v, %v", second, err)
	}
	again, err := b.w.Rotate(t.Context(), acmeOpen, first.ID, 24*time.Hour)
	if err != nil || again.ID != second.ID {
		t.Errorf("rotated again, to %+v, %v", again, err)
	}
	_, err = b.w.Rotate(t.Context(), acmeOpen, second.ID, 24*time.Hour)
	failed(t, err, waybill.Blocked, "databricks.rotation_pending")
	link, _, err = b.w.Activation(t.Context(), acmeOpen)
	b.must(err)
	renewed := b.take(link)
	tokens, err := b.w.Tokens(t.Context(), acmeOpen)
	if err != nil || len(tokens) != 2 || !tokens[0].ExpiresAt.Equal(b.now.Add(24*time.Hour)) || tokens[1].ID != second.ID {
		t.Errorf("forecast %+v, %v", tokens, err)
	}
	const address = "203.0.113.7"
	if !b.server.Opens(old, address) || !b.server.Opens(renewed, address) {
		t.Error("one of the two does not open the share during the overlap")
	}
	b.now = b.now.Add(25 * time.Hour)
	if b.server.Opens(old, address) || !b.server.Opens(renewed, address) {
		t.Error("after the overlap the old token is still valid, or the new one is not")
	}
}

func TestARotationWhoseAnswerIsLostIsNotDoneTwice(t *testing.T) {
	b := setup(t)
	_, err := b.w.Provision(t.Context(), acmeOpen)
	b.must(err)
	_, first, err := b.w.Activation(t.Context(), acmeOpen)
	b.must(err)
	b.server.ResetLog()
	b.server.Inject(fake.Fault{Path: "/rotate-token", After: true, Cut: true})
	_, err = b.w.Rotate(t.Context(), acmeOpen, first.ID, time.Hour)
	failed(t, err, waybill.Transient, "databricks.unreachable")
	second, err := b.w.Rotate(t.Context(), acmeOpen, first.ID, time.Hour)
	if err != nil || second.ID == first.ID {
		t.Fatalf("rotated to %+v, %v", second, err)
	}
	rotations := 0
	for _, r := range b.server.Log() {
		if strings.HasSuffix(r.Path, "/rotate-token") {
			rotations++
		}
	}
	if rotations != 1 {
		t.Errorf("rotated %d times", rotations)
	}
}

func TestAChangedConnectorChangesItsRecipient(t *testing.T) {
	b := setup(t)
	_, err := b.w.Provision(t.Context(), acmeOpen)
	b.must(err)
	c := acmeOpen
	c.AllowedIPs, c.TokenLifetime = []string{"198.51.100.7", "2001:db8::/32"}, 30*24*time.Hour
	_, err = b.w.Provision(t.Context(), c)
	b.must(err)
	link, token, err := b.w.Activation(t.Context(), c)
	b.must(err)
	if !token.ExpiresAt.Equal(b.now.Add(c.TokenLifetime)) {
		t.Errorf("token ends %v", token.ExpiresAt)
	}
	bearer := b.take(link)
	if !b.server.Opens(bearer, "198.51.100.7") || b.server.Opens(bearer, "203.0.113.7") {
		t.Error("the former addresses are in force")
	}
	c.AllowedIPs = nil
	_, err = b.w.Provision(t.Context(), c)
	b.must(err)
	if !b.server.Opens(bearer, "203.0.113.7") {
		t.Error("without a list not every address is let in")
	}
}

func TestARecipientInAWorkspaceHasNoToken(t *testing.T) {
	b := setup(t)
	_, _, err := b.w.Activation(t.Context(), acme)
	failed(t, err, waybill.Blocked, "databricks.no_tokens")
	_, err = b.w.Tokens(t.Context(), acmeOpen)
	failed(t, err, waybill.Blocked, "databricks.recipient_gone")
}
