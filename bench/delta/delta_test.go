// Package delta measures the writer of Delta tables: what a commit costs, and
// how fast it writes beside delta-rs.
package delta

import (
	"cmp"
	"context"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

func folder(b *testing.B) (storage.Store, string) {
	b.Helper()
	dir := b.TempDir()
	store := must(storage.OpenFolder(dir))(b)
	b.Cleanup(func() { _ = store.Close() })
	return store, dir
}

var definition = delta.Definition{Name: "WF_BENCH__V1", Comment: waybill.VersionComment, Columns: columns()}

// commits makes n commits without data on a warm snapshot, and returns what each took.
func commits(b *testing.B, store storage.Store, n int) []time.Duration {
	b.Helper()
	table := delta.Open(store, "v1", delta.Options{})
	must(table.Create(b.Context(), definition))(b)
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		must(table.AppendRows(b.Context(), "bench", int64(i+1), nil))(b)
		took[i] = time.Since(begun)
	}
	return took
}

// BenchmarkCommitOnAFolder prints what a commit costs beyond the data's upload,
// its checkpoints among them.
func BenchmarkCommitOnAFolder(b *testing.B) {
	for b.Loop() {
		store, _ := folder(b)
		took := commits(b, store, 400)
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		fmt.Printf("a commit on a folder: p50 %s, p95 %s\n", took[len(took)/2].Round(time.Microsecond), took[len(took)*95/100].Round(time.Microsecond))
	}
}

// BenchmarkCommitOnS3 prints the requests of a commit on an S3 gateway, counted
// in front of it: of those that write no checkpoint.
func BenchmarkCommitOnS3(b *testing.B) {
	gateway := testservers.S3(b)
	gateway.Bucket(b, "bench")
	var requests atomic.Int64
	to := must(url.Parse(gateway.Endpoint))(b)
	counter := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		requests.Add(1)
		r.SetURL(to)
		r.Out.Host = r.In.Host // which is signed
	}})
	defer counter.Close()
	store := must(storage.NewS3(b.Context(), storage.S3Options{Bucket: "bench", Region: gateway.Region, Endpoint: counter.URL, PathStyle: true,
		Keys: func(context.Context) (storage.Keys, error) {
			return storage.Keys{AccessKeyID: gateway.AccessKey, SecretAccessKey: gateway.SecretKey}, nil
		}}))(b)
	table := delta.Open(store, "v1", delta.Options{})
	must(table.Create(b.Context(), definition))(b)
	small := lines(records(10))
	b.ResetTimer()
	for n := 0; b.Loop(); n++ {
		name := fmt.Sprintf("d-1-%d-0.parquet", n)
		file := write(b, store, "v1/"+name, small)
		described := must(table.Describe(b.Context(), file, definition.Columns))(b)
		requests.Store(0)
		must(table.Replace(b.Context(), delta.Load{Delivery: fmt.Sprintf("d%d", n), Generation: 1, Fence: int64(n + 1), JobID: fmt.Sprint(n), Files: []delta.DataFile{described}}))(b)
		if n == 2 {
			b.ReportMetric(float64(requests.Load()), "requests/commit")
			fmt.Printf("a commit on S3 with a warm snapshot: %d requests\n", requests.Load())
		}
	}
}
