package sharing_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkMetadata prints requests/s of a connector's table, over HTTP, with
// every request's look at the token, the list of tables and the newest commit.
func BenchmarkMetadata(b *testing.B) {
	r := cities(b, folder(b))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, r.http.URL+"/delta"+cityTable+"/metadata", http.NoBody)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+r.bearer)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Error(resp.Status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	client.CloseIdleConnections()
}

// BenchmarkQuery reads the list of a table of 1,000 files: all, and those that hints leave.
func BenchmarkQuery(b *testing.B) {
	r := setup(b, folder(b))
	manyFiles(b, r, 1000)
	server := r.server(b, slog.New(slog.DiscardHandler))
	for name, body := range map[string]string{"all": `{}`, "hints": `{"predicateHints":["people >= 9000"]}`} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				req := httptest.NewRequest(http.MethodPost, "/delta"+cityTable+"/query", strings.NewReader(body))
				req.Header.Set("Authorization", "Bearer "+r.bearer)
				server.ServeHTTP(w, req)
				if want := map[string]int{"all": 1000, "hints": 100}[name]; strings.Count(w.Body.String(), `{"file":`) != want {
					b.Fatalf("%d: %d files", w.Code, strings.Count(w.Body.String(), `{"file":`))
				}
			}
		})
	}
}
