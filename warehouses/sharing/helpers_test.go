package sharing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
	"github.com/waybillhq/waybill/warehouses/sharing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	connector = "acme-lake"
	cityTable = "/shares/acme-lake/schemas/kadoa/tables/WF_CITIES__V1"
)

// documents are kept in memory.
type documents struct {
	mu   sync.Mutex
	docs map[string]json.RawMessage
}

func (d *documents) Mirror(_ context.Context, kind, id string, doc json.RawMessage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.docs[kind+"/"+id] = doc
	return nil
}

func (d *documents) Mirrored(_ context.Context, kind, id string) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc, ok := d.docs[kind+"/"+id]; ok {
		return doc, nil
	}
	return nil, waybill.ErrNotFound
}

// rig is a server of one connector, and a customer with a token.
type rig struct {
	http   *httptest.Server
	store  storage.Store
	share  sharing.Share
	book   sharing.TokenBook
	docs   *documents
	bearer string
	skew   time.Duration // of the server's clock
}

func (r *rig) now() time.Time { return time.Now().Add(r.skew) }

func setup(t testing.TB, store storage.Store) *rig {
	t.Helper()
	r := &rig{store: store, share: sharing.Share{Store: store}, docs: &documents{docs: map[string]json.RawMessage{}}}
	r.book = sharing.TokenBook{Documents: r.docs, Now: r.now}
	var server *sharing.Server
	r.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { server.ServeHTTP(w, q) }))
	t.Cleanup(r.http.Close)
	server = r.server(t, slog.New(slog.DiscardHandler))
	var err error
	if r.bearer, _, err = r.book.Issue(t.Context(), connector, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) server(t testing.TB, log *slog.Logger) *sharing.Server {
	t.Helper()
	server, err := sharing.New(sharing.Options{URL: r.http.URL + "/delta/", Tokens: r.book, Now: r.now, Log: log,
		Share: func(_ context.Context, id string) (sharing.Share, error) {
			if id != connector {
				return sharing.Share{}, waybill.ErrNotFound
			}
			return r.share, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func folder(t testing.TB) *storage.Folder {
	t.Helper()
	f, err := storage.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// reply is what the server answered.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if strings.HasPrefix(path, "/") {
		req, err = http.NewRequestWithContext(t.Context(), method, r.http.URL+"/delta"+path, strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

func (r *rig) get(t testing.TB, path string, header ...string) reply {
	t.Helper()
	return r.do(t, http.MethodGet, path, "", header...)
}

// ok fails unless the server gave what was asked for.
func (p reply) ok(t testing.TB) reply {
	t.Helper()
	if p.status != http.StatusOK {
		t.Fatalf("got %d: %s", p.status, p.body)
	}
	return p
}

func (p reply) wants(t testing.TB, status int, code string) {
	t.Helper()
	var got struct{ ErrorCode, Message string }
	if json.Unmarshal([]byte(p.body), &got); p.status != status || got.ErrorCode != code {
		t.Errorf("got %d %s, want %d %s", p.status, p.body, status, code)
	}
	if (got.Message == "") != (code == "INTERNAL_ERROR") {
		t.Errorf("the message is %q", got.Message)
	}
}

// lines are the answer's lines, by kind.
func (p reply) lines(t testing.TB) map[string][]map[string]any {
	t.Helper()
	kinds := map[string][]map[string]any{}
	for line := range strings.Lines(p.body) {
		var one map[string]map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for kind, v := range one {
			kinds[kind] = append(kinds[kind], v)
		}
	}
	return kinds
}

// names are those of the items of a list.
func (p reply) names(t testing.TB) (names []string, next string) {
	t.Helper()
	var page struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
		NextPageToken string `json:"nextPageToken"`
	}
	if err := json.Unmarshal([]byte(p.ok(t).body), &page); err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		names = append(names, item.Name)
	}
	return names, page.NextPageToken
}

// query returns the files of a table.
func (r *rig) query(t testing.TB, body string, header ...string) []map[string]any {
	t.Helper()
	return r.do(t, http.MethodPost, cityTable+"/query", body, header...).ok(t).lines(t)["file"]
}

var citySchema = waybill.Schema{Fields: []waybill.Field{{Name: "city", DataType: waybill.String}, {Name: "people", DataType: waybill.Number}}}

var finished = time.Date(2025, 3, 1, 10, 30, 0, 0, time.UTC)

// table makes V<n> of a workflow, if it is not there.
func (r *rig) table(t testing.TB, workflow string, n int) *delta.Table {
	t.Helper()
	name := waybill.VersionTable(workflow, n)
	table := delta.Open(r.store, name, delta.Options{})
	if _, err := table.Create(t.Context(), delta.Definition{Name: name, Comment: waybill.VersionComment, Columns: citySchema.Columns("kadoa")}); err != nil {
		t.Fatal(err)
	}
	return table
}

// add brings a job's records into V<n>.
func (r *rig) add(t testing.TB, workflow string, n int, job string, records ...string) {
	t.Helper()
	table := r.table(t, workflow, n)
	var out bytes.Buffer
	_, err := formats.Convert(t.Context(), strings.NewReader(strings.Join(records, "\n")), map[formats.Format]formats.Output{formats.Parquet: formats.To(&out)},
		formats.Options{Schema: citySchema, CPUs: 1, Warehouse: &formats.WarehouseColumns{Brand: "kadoa", JobID: job, FinishedAt: finished}})
	if err != nil {
		t.Fatal(err)
	}
	l := delta.Load{Delivery: "d-" + job, Generation: 1, JobID: job}
	name := delta.FileName(l.Delivery, 1, 1, 0)
	if _, err := r.store.Put(t.Context(), waybill.VersionTable(workflow, n)+"/"+name, &out, storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	file, err := table.Describe(t.Context(), name, citySchema.Columns("kadoa"))
	if err != nil {
		t.Fatal(err)
	}
	l.Files = []delta.DataFile{file}
	if _, err := table.Append(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

// show names V<n> in WORKFLOW_SCHEMA_VERSIONS, as a publication does.
func (r *rig) show(t testing.TB, workflow string, n int, latest bool) {
	t.Helper()
	r.upsert(t, waybill.TableVersions, delta.Row{"WORKFLOW_ID": workflow, "SCHEMA_VERSION": int64(n),
		"TABLE_NAME": waybill.VersionTable(workflow, n), "IS_LATEST": latest})
}

func (r *rig) upsert(t testing.TB, name string, rows ...delta.Row) {
	t.Helper()
	for _, def := range waybill.MetadataTables() {
		if def.Name != name {
			continue
		}
		table := delta.Open(r.store, name, delta.Options{})
		if _, err := table.Create(t.Context(), delta.Definition{Name: name, Columns: def.Columns}); err != nil {
			t.Fatal(err)
		}
		if _, err := table.Upsert(t.Context(), def.Key, rows); err != nil {
			t.Fatal(err)
		}
	}
}

// cities is a share whose one workflow has three jobs, of a file each.
func cities(t testing.TB, store storage.Store) *rig {
	t.Helper()
	r := setup(t, store)
	for i, city := range []string{"Aachen", "Berlin", "Cottbus"} {
		r.add(t, "wf_cities", 1, "job-"+city, fmt.Sprintf(`{"city":%q,"people":%d}`, city, 100*(i+1)), fmt.Sprintf(`{"city":"%s-2"}`, city))
	}
	r.show(t, "wf_cities", 1, false)
	return r
}
