package fleet_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/notify"
	"github.com/waybillhq/waybill/internal/secrets"
)

// receiver is a server that is told, at /hook and /slack.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	told   []told
	status int
}

type told struct {
	path   string
	header http.Header
	body   []byte
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, told{req.URL.Path, req.Header, body})
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

// take returns what it was told at a path since.
func (r *receiver) take(path string) (list []told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = slices.DeleteFunc(r.told, func(m told) bool {
		if m.path == path {
			list = append(list, m)
		}
		return m.path == path
	})
	return list
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (m told) message(t *testing.T) (msg notify.Message) {
	t.Helper()
	must(t, json.Unmarshal(m.body, &msg))
	return msg
}

const hookSecret = "whsec_c2VjcmV0LW9mLWFjbWU="

// tellable is a world whose connector acme-lake, and whose fleet, tell the receiver.
func tellable(t *testing.T, to *receiver, settings ...func(*config.Config)) *world {
	t.Setenv("HOOK_SECRET", hookSecret)
	t.Setenv("SLACK_URL", to.URL+"/slack")
	t.Setenv("FLEET_SECRET", "plain secret of the fleet")
	w := start(t, append([]func(*config.Config){func(c *config.Config) {
		c.Network.Allow = []string{to.URL}
		c.Notify.Webhook = config.Webhook{URL: to.URL + "/fleet", Secret: ref(t, "env:FLEET_SECRET")}
	}}, settings...)...)
	c := w.connector("acme-lake", "team-a")
	c.Webhook, c.Slack = &config.Webhook{URL: to.URL + "/hook", Secret: ref(t, "env:HOOK_SECRET")}, ref(t, "env:SLACK_URL")
	w.apply(c)
	return w
}

func ref(t *testing.T, text string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(text)
	must(t, err)
	return r
}

// due makes every note due now.
func (w *world) due() (waiting int) {
	w.t.Helper()
	for slot := range waybill.Slots {
		key := fmt.Sprintf("wb:{s%02d}:notes", slot)
		notes, err := w.Redis.ZRange(w.t.Context(), key, 0, -1).Result()
		must(w.t, err)
		waiting += len(notes)
		for _, note := range notes {
			must(w.t, w.Redis.ZAdd(w.t.Context(), key, redis.Z{Score: 1, Member: note}).Err())
		}
	}
	return waiting
}

func (w *world) tell() {
	w.t.Helper()
	must(w.t, w.Notifier().Tell(w.t.Context()))
}

func TestEveryChangeIsToldOnceToEachReceiver(t *testing.T) {
	to := receive(t)
	w := tellable(t, to)
	complete := w.deliver(runOf("wf_movies", "job-1"), "acme-lake")
	w.complete(complete)
	blocked := w.deliver(runOf("wf_movies", "job-2"), "acme-lake")
	w.fail(blocked, waybill.StateRetrying, waybill.Failure{Verdict: waybill.Transient, Code: "net.timeout", Action: "It is tried again."})
	failed := w.deliver(runOf("wf_movies", "job-3"), "acme-lake")
	w.fail(failed, waybill.StateFailed, waybill.Failure{Verdict: waybill.Permanent, Code: "records.malformed", Action: "Mend <b> & line 2."})
	stopped := w.deliver(runOf("wf_movies", "job-4"), "acme-lake")
	w.fail(stopped, waybill.StateBlocked, denied("Allow it."))
	must(t, w.Ledger.Retry(t.Context(), stopped))
	for range 2 { // pausing twice is one change
		_, err := w.Ledger.PauseConnector(t.Context(), "team-a", "acme-lake", "maintenance | of acme")
		must(t, err)
	}
	_, err := w.Ledger.ResumeConnector(t.Context(), "team-a", "acme-lake")
	must(t, err)
	cancelled := w.deliver(runOf("wf_movies", "job-5"), "acme-lake")
	for range 2 {
		must(t, w.Ledger.Cancel(t.Context(), cancelled, "by an operator"))
	}
	w.apply(w.connector("other-lake", "team-b")) // at the same destination, in another slot, and tells the fleet alone
	must(t, w.Scheduler().PlanAll(t.Context()))
	for range 2 {
		_, err := w.Ledger.PauseDestination(t.Context(), "file", "outage | of the folders")
		must(t, err)
	}
	for _, name := range []string{"file", "s3"} { // nobody is told of what nothing is at, or was not paused
		_, err := w.Ledger.ResumeDestination(t.Context(), name)
		must(t, err)
	}
	lane, err := w.Ledger.HoldLane(t.Context(), "team-a", "acme-lake", "wf_movies")
	must(t, err)
	for range 2 {
		must(t, w.Ledger.Unpublished(t.Context(), lane, waybill.Delivery{ID: failed, RunKey: runOf("wf_movies", "job-3").RunKey, Generation: 1}, "export.push", "export"))
	}
	must(t, lane.Release())
	w.tell()

	want := []string{"connector.paused", "connector.recovered", "delivery.blocked", "delivery.cancelled", "delivery.complete", "delivery.failed", "delivery.unpublished", "destination.paused", "destination.recovered"}
	ids := map[string]string{}
	for _, path := range []string{"/hook", "/fleet"} {
		var types []string
		for _, m := range to.take(path) {
			msg := m.message(t)
			types = append(types, msg.Type)
			if ids[msg.Type] == "" || strings.HasPrefix(msg.Type, "destination.") { // the customer is told of the connector there, the fleet of all of it
				ids[msg.Type] = msg.ID
			}
			if msg.ID != ids[msg.Type] || m.header.Get("Webhook-Id") != msg.ID || m.header.Get("Idempotency-Key") != msg.ID || msg.Timestamp.IsZero() {
				t.Errorf("%s is told as %s and %v", msg.Type, msg.ID, m.header)
			}
			switch msg.Type {
			case "delivery.complete":
				if d := msg.Data; d.DeliveryID != complete || d.Rows != 3201 || d.TeamID != "team-a" || d.Connector != "acme-lake" {
					t.Errorf("complete: %+v", d)
				}
			case "delivery.blocked":
				if d := msg.Data; d.DeliveryID != stopped || d.Code != "storage.access_denied" || d.Action != "Allow it." || d.Stage != waybill.StageStage {
					t.Errorf("blocked, told after it was retried: %+v", d)
				}
			case "delivery.cancelled":
				if d := msg.Data; d.DeliveryID != cancelled || d.Reason != "by an operator" || d.Code != "" {
					t.Errorf("cancelled: %+v", d)
				}
			case "destination.paused":
				whose := map[string]string{"/hook": "acme-lake", "/fleet": ""}[path]
				if d := msg.Data; d.Destination != "file" || d.Connector != whose || d.Reason != "outage | of the folders" {
					t.Errorf("%s is told of a destination: %+v", path, d)
				}
			case "connector.paused":
				if msg.Data.Reason != "maintenance | of acme" {
					t.Errorf("paused: %+v", msg.Data)
				}
			}
			secret := []byte("plain secret of the fleet")
			if path == "/hook" {
				secret = []byte("secret-of-acme")
			}
			mac := hmac.New(sha256.New, secret)
			fmt.Fprintf(mac, "%s.%s.%s", msg.ID, m.header.Get("Webhook-Timestamp"), m.body)
			if got, want := m.header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
				t.Errorf("%s is signed %s, want %s", path, got, want)
			}
		}
		slices.Sort(types)
		if !slices.Equal(types, want) {
			t.Errorf("%s was told %v, want %v", path, types, want)
		}
	}
	slack := to.take("/slack")
	if len(slack) != len(want) {
		t.Errorf("Slack was told %d times", len(slack))
	}
	var texts strings.Builder
	for _, m := range slack {
		texts.Write(m.body)
	}
	if all := texts.String(); !strings.Contains(all, `Mend \u0026lt;b\u0026gt; \u0026amp; line 2.`) {
		t.Errorf("Slack was told %s", all)
	}
	if n := w.due(); n != 0 {
		t.Errorf("%d notes are left", n)
	}
	w.tell()
	if again := to.take("/hook"); len(again) != 0 {
		t.Errorf("told again: %d", len(again))
	}
}

func TestWhoWasNotReachedIsToldLaterAndAtLastNoMore(t *testing.T) {
	to := receive(t)
	var log bytes.Buffer
	w := tellable(t, to, func(c *config.Config) { c.Notify = config.Notify{} })
	w.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.complete(w.deliver(runOf("wf_movies", "job-1"), "acme-lake"))

	// A process that dies after it took a note has told nobody: another does.
	taken, err := w.Ledger.TakeNotes(t.Context(), 10, time.Minute)
	must(t, err)
	if more, err := w.Ledger.TakeNotes(t.Context(), 10, time.Minute); err != nil || len(taken) != 2 || len(more) != 0 {
		t.Fatalf("taken %d, and at once by somebody else %d, %v", len(taken), len(more), err)
	}
	to.answer(http.StatusInternalServerError)
	var ids []string
	for try := 2; try <= 5; try++ {
		if n := w.due(); n != 2 {
			t.Fatalf("before try %d, %d notes wait", try, n)
		}
		w.tell()
		w.tell() // not before its time
		for _, m := range to.take("/hook") {
			ids = append(ids, m.header.Get("Idempotency-Key"))
		}
	}
	if ids = slices.Compact(ids); len(ids) != 1 || ids[0] != taken[0].ID {
		t.Errorf("the tries are told as %v, want %s", ids, taken[0].ID)
	}
	if n := w.due(); n != 0 || !strings.Contains(log.String(), "it is not tried again") {
		t.Errorf("after five tries %d notes wait\n%s", n, log.String())
	}
	for _, secret := range []string{hookSecret, "secret-of-acme", "/slack"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.String())
		}
	}
}

func TestReceiversInsideTheFleetsNetworkAreNotReached(t *testing.T) {
	to := receive(t)
	var log bytes.Buffer
	w := tellable(t, to, func(c *config.Config) { c.Network.Allow = nil })
	w.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.complete(w.deliver(runOf("wf_movies", "job-1"), "acme-lake"))
	w.tell()
	if len(to.take("/hook"))+len(to.take("/slack"))+len(to.take("/fleet")) != 0 || !strings.Contains(log.String(), "net.") {
		t.Errorf("a server of our own network was told\n%s", log.String())
	}
	if strings.Contains(log.String(), "/slack") {
		t.Errorf("the log holds an address that is a secret:\n%s", log.String())
	}
}

func TestNobodyIsToldOfAConnectorThatIsGoneAndNothingWaits(t *testing.T) {
	to := receive(t)
	w := tellable(t, to, func(c *config.Config) { c.Notify = config.Notify{} })
	w.complete(w.deliver(runOf("wf_movies", "job-1"), "acme-lake"))
	must(t, w.Connectors.Delete(t.Context(), "acme-lake"))
	w.tell()
	if n := w.due(); n != 0 || len(to.take("/hook")) != 0 {
		t.Errorf("%d notes wait", n)
	}
	quiet := w.connector("quiet", "team-a")
	w.apply(quiet)
	w.complete(w.deliver(runOf("wf_movies", "job-2"), "quiet"))
	if n := w.due(); n != 0 {
		t.Errorf("of a connector that tells nobody %d notes wait", n)
	}
}
