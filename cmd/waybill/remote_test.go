package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

// visitor is somebody who logged in to the pages of a scheduler.
func (f *fleet) visitor(t *testing.T, addr string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(f.ok(t, "token", "create", "visitor", "--scope", "ops", "--teams", "*"))
	client := &http.Client{Jar: jar}
	resp, err := client.PostForm("http://"+addr+"/login", url.Values{"token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Fatalf("login: %s", resp.Status)
	}
	return client
}

// Producers and operators need no Redis: a scheduler's address and a token.
func TestTheCommandsAskASchedulerInPlaceOfRedis(t *testing.T) {
	f := newFleet(t)
	f.write(t, "connector.yaml", "id: acme-folder\nteam: "+team+"\nkind: storage\nstorage: {url: \"file://"+f.dir+"/nowhere\", formats: [csv]}\n")
	f.ok(t, "connector", "apply", "-f", f.dir+"/connector.yaml")
	if _, stderr, err := f.cli(t, "token", "create", "Platform", "--scope", "all", "--teams", "a/b"); err == nil ||
		!strings.Contains(stderr, "name: ") || !strings.Contains(stderr, "scope: ") || !strings.Contains(stderr, "teams[0]: ") {
		t.Errorf("a bad token: %v %s", err, stderr)
	}
	producer := strings.TrimSpace(f.ok(t, "token", "create", "platform", "--scope", "producer", "--teams", team))
	ops := strings.TrimSpace(f.ok(t, "token", "create", "root", "--scope", "ops", "--teams", "*"))
	if list := f.ok(t, "token", "list"); !strings.Contains(list, "platform") || strings.Contains(list, producer) {
		t.Errorf("the list is\n%s", list)
	}
	scheduler := f.start(t, "scheduler")
	address := scheduler.addr
	base := f.env
	remote := func(token string, args ...string) (string, string, error) {
		f.env = slices.Concat(base, []string{"WAYBILL_CONFIG=/nowhere.yaml", "WAYBILL_TOKEN=" + token})
		defer func() { f.env = base }()
		return f.cli(t, append(args, "--server", "http://"+address)...)
	}
	run := f.write(t, "run.json", `{"teamId":"`+team+`","workflowId":"wf","jobId":"j","state":"FINISHED","finishedAt":"2025-01-15T10:30:00Z","rowCount":1,
		"source":{"uri":"s3://runs/`+team+`/j.jsonl"},"schema":{"fields":[{"name":"a","dataType":"NUMBER"}]}}`)
	id := waybill.DeliveryID(waybill.RunKey{TeamID: team, WorkflowID: "wf", JobID: "j"}, "acme-folder")
	if out, stderr, err := remote(producer, "run", "submit", "-f", run); err != nil || !strings.Contains(out, "new: generation 1") || !strings.Contains(out, id) {
		t.Fatalf("submit: %v %s%s", err, out, stderr)
	}
	if out, stderr, err := remote(producer, "delivery", "list", "--json", "--workflow", "wf"); err != nil || !strings.Contains(out, id) {
		t.Errorf("list: %v %s%s", err, out, stderr)
	}
	out, stderr, err := remote(producer, "delivery", "show", id, "--json")
	var story struct{ Delivery waybill.Delivery }
	if err != nil || json.Unmarshal([]byte(out), &story) != nil || story.Delivery.ID != id {
		t.Errorf("show: %v %s%s", err, out, stderr)
	}
	if _, stderr, err := remote(producer, "delivery", "retry", id); err == nil || !strings.Contains(stderr, "scope ops") {
		t.Errorf("a producer's retry: %v %s", err, stderr)
	}
	if _, stderr, err := remote(ops, "delivery", "retry", id); err == nil || !strings.Contains(stderr, "only failed, blocked and unpublished deliveries are retried") {
		t.Errorf("a retry of what goes on by itself: %v %s", err, stderr)
	}
	if out, stderr, err := remote(ops, "delivery", "retry", "--state", "blocked"); err != nil || !strings.Contains(out, "0 deliveries") {
		t.Errorf("a retry of all that are blocked: %v %s%s", err, out, stderr)
	}
	for what, want := range map[string]string{"": "WAYBILL_TOKEN is missing", "platform.wrong": "valid token"} {
		if _, stderr, err := remote(what, "delivery", "list"); err == nil || !strings.Contains(stderr, want) {
			t.Errorf("with token %q: %v %s", what, err, stderr)
		}
	}
	f.ok(t, "token", "revoke", "platform")
	if _, _, err := remote(producer, "delivery", "list"); err == nil {
		t.Error("a revoked token lists")
	}
	if resp, err := http.Get("http://" + address + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("ready: %v", err)
	}
}
