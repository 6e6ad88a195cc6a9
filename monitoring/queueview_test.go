package monitoring

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

func queueView(t *testing.T) (*http.ServeMux, *redis.Client, *asynq.TaskInfo) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = client.Close() })
	info, err := asynq.NewClientFromRedisClient(client).Enqueue(asynq.NewTask("export.push", []byte(`{"id":"d01-x"}`)), asynq.Queue("export"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/queues/", QueueView(SharedRedis(client), "/queues"))
	return mux, client, info
}

func call(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestQueueViewShows(t *testing.T) {
	mux, _, info := queueView(t)
	page := call(mux, "GET", "/queues/")
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "<html") || !strings.Contains(page.Body.String(), "READ_ONLY") {
		t.Fatalf("page: %d %s", page.Code, page.Body)
	}
	assets := regexp.MustCompile(`(?:src|href)="(/queues/[^"]+\.(?:js|css))"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(assets) == 0 {
		t.Error("the page has no scripts")
	}
	for _, a := range assets {
		if w := call(mux, "GET", a[1]); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<html") {
			t.Errorf("%s: %d", a[1], w.Code)
		}
	}
	tasks := call(mux, "GET", "/queues/api/queues/export/pending_tasks")
	if tasks.Code != http.StatusOK || !strings.Contains(tasks.Body.String(), info.ID) {
		t.Errorf("tasks: %d %s", tasks.Code, tasks.Body)
	}
}

func TestQueueViewDoesNotAct(t *testing.T) {
	mux, client, info := queueView(t)
	for _, action := range []struct{ method, path string }{
		{"POST", "/queues/api/queues/export:pause"},
		{"DELETE", "/queues/api/queues/export"},
		{"DELETE", "/queues/api/queues/export/pending_tasks/" + info.ID},
		{"DELETE", "/queues/api/queues/export/pending_tasks:delete_all"},
		{"POST", "/queues/api/queues/export/pending_tasks/" + info.ID + ":archive"},
		{"PUT", "/queues/api/queues/export"},
		{"POST", "/queues/"},
	} {
		if w := call(mux, action.method, action.path); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: %d", action.method, action.path, w.Code)
		}
	}
	queue, err := asynq.NewInspectorFromRedisClient(client).GetQueueInfo("export")
	if err != nil || queue.Pending != 1 || queue.Paused {
		t.Errorf("the queue is %+v, %v", queue, err)
	}
}
