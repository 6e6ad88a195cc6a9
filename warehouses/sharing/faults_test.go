package sharing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
)

// signer is a store whose URLs are made up, and that fails from some call on.
type signer struct {
	storage.Store
	calls, failFrom atomic.Int64
}

func (s *signer) Presign(_ context.Context, key string, _ time.Duration) (string, error) {
	if n := s.calls.Add(1); n >= s.failFrom.Load() {
		return "", errors.New("the signing service is away: secret-detail")
	}
	return "https://bucket.example/" + key, nil
}

// manyFiles is a table of n files, as another writer's commit tells it.
func manyFiles(t testing.TB, r *rig, n int) {
	t.Helper()
	r.table(t, "wf_cities", 1)
	var log bytes.Buffer
	for i := range n {
		stats := fmt.Sprintf(`{"numRecords":10,"minValues":{"CITY":"a","PEOPLE":%d},"maxValues":{"CITY":"z","PEOPLE":%d},"nullCount":{"CITY":0,"PEOPLE":0}}`, 10*i, 10*i+9)
		fmt.Fprintf(&log, `{"add":{"path":"many-%05d.parquet","partitionValues":{},"size":1000,"modificationTime":1,"dataChange":true,"stats":%q}}`+"\n", i, stats)
	}
	if _, err := r.store.Put(t.Context(), "WF_CITIES__V1/_delta_log/00000000000000000001.json", &log, storage.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	r.show(t, "wf_cities", 1, false)
}

func TestAFailureInTheMiddleOfAnAnswerIsTold(t *testing.T) {
	store := &signer{Store: folder(t)}
	r := setup(t, store)
	manyFiles(t, r, 600)
	store.failFrom.Store(1)
	p := r.do(t, http.MethodPost, cityTable+"/query", "{}")
	p.wants(t, http.StatusInternalServerError, "INTERNAL_ERROR")
	if p.header.Get("Delta-Table-Version") != "" {
		t.Error("a failure has a version")
	}

	store.calls.Store(0)
	store.failFrom.Store(400)
	p = r.do(t, http.MethodPost, cityTable+"/query", "{}").ok(t)
	lines := p.lines(t)
	if n := len(lines["file"]); n == 0 || n >= 600 {
		t.Errorf("%d files were sent", n)
	}
	if end := lines["endStreamAction"]; len(end) != 1 || end[0]["errorMessage"] == "" || !strings.Contains(p.body[strings.LastIndex(strings.TrimSpace(p.body), "\n"):], "endStreamAction") {
		t.Errorf("the stream ends with %v", end)
	}
	if strings.Contains(p.body, "secret-detail") {
		t.Error("the customer is told what is ours")
	}

	store.failFrom.Store(1 << 40)
	if files := r.query(t, "{}"); len(files) != 600 {
		t.Errorf("%d files of 600", len(files))
	}
}

func TestFailuresAreLoggedWithoutTheToken(t *testing.T) {
	store := &signer{Store: folder(t)}
	r := setup(t, store)
	manyFiles(t, r, 1)
	store.failFrom.Store(1)
	var log bytes.Buffer
	server := r.server(t, slog.New(slog.NewTextHandler(&log, nil)))
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/delta"+cityTable+"/query", strings.NewReader("{}"))
	req.Header.Set("Authorization", "Bearer "+r.bearer)
	server.ServeHTTP(w, req)
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "secret-detail") || !strings.Contains(log.String(), connector) {
		t.Errorf("%d, logged %s", w.Code, log.String())
	}
	if strings.Contains(log.String(), strings.TrimPrefix(r.bearer, connector+".")) {
		t.Error("the token is in the log")
	}
}

// bucket is one of a real S3 server.
func bucket(t *testing.T) storage.Store {
	t.Helper()
	server := testservers.S3(t)
	server.Bucket(t, "tables")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	store, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "tables", Prefix: "acme", Endpoint: server.Endpoint,
		Region: server.Region, PathStyle: true, Client: &http.Client{Transport: transport}, Keys: func(context.Context) (storage.Keys, error) {
			return storage.Keys{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestFilesInABucketAreReadFromTheBucket(t *testing.T) {
	r := cities(t, bucket(t))
	for _, format := range []string{"parquet", "delta"} {
		files := r.query(t, "{}", "delta-sharing-capabilities", "responseformat="+format)
		if len(files) != 3 {
			t.Fatalf("%d files", len(files))
		}
		for _, f := range files {
			address, ok := f["url"].(string)
			if !ok {
				address = f["deltaSingleAction"].(map[string]any)["add"].(map[string]any)["path"].(string)
			}
			if strings.HasPrefix(address, r.http.URL) || !strings.Contains(address, "/tables/acme/WF_CITIES__V1/") {
				t.Fatalf("%s is not the bucket's", address)
			}
			if body := r.get(t, address).ok(t).body; !strings.HasPrefix(body, "PAR1") {
				t.Error("no Parquet file")
			}
			if p := r.get(t, address, "Range", "bytes=-4"); p.status != http.StatusPartialContent || p.body != "PAR1" {
				t.Errorf("the end of the file: %d %q", p.status, p.body)
			}
		}
	}
	if p := r.get(t, "/shares/acme-lake/all-tables").ok(t); !strings.Contains(p.body, "WF_CITIES__V1") {
		t.Errorf("listed %s", p.body)
	}
}
