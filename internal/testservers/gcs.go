package testservers

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// GCSServer is a fake-gcs-server process. It keeps objects, metadata and
// generations as Google Cloud Storage does. It checks no credentials, no
// signature of a signed URL, no condition of a read, and not the checksum that
// ends a resumable upload.
type GCSServer struct {
	Addr     string // host:port; reads are routed by this very Host header
	Endpoint string // http://host:port/storage/v1/
}

// GCS starts a server that keeps everything in memory, without a bucket of the
// test's.
func GCS(t testing.TB) *GCSServer {
	t.Helper()
	path, err := pinnedProgram("fake-gcs-server")
	if err != nil {
		t.Fatal(err)
	}
	marker, seed := uniqueName(), t.TempDir() // a bucket that no other server has, should one have taken the port
	if err := os.Mkdir(filepath.Join(seed, marker), 0o755); err != nil {
		t.Fatal(err)
	}
	_, port, err := onFreePort(func(port string) (*process, error) {
		addr := net.JoinHostPort("127.0.0.1", port)
		return start(t, command{
			path: path, dir: seed,
			args: []string{
				"-scheme", "http", "-host", "127.0.0.1", "-port", port, "-public-host", addr,
				"-backend", "memory", "-data", seed, "-log-level", "error",
			},
			ready: func(ctx context.Context, _ int) error {
				return httpAnswers(ctx, "http://"+addr+"/storage/v1/b/"+marker)
			},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	return &GCSServer{Addr: addr, Endpoint: "http://" + addr + "/storage/v1/"}
}

// Bucket creates a bucket.
func (s *GCSServer) Bucket(t testing.TB, name string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Post(s.Endpoint+"b?project=test", "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // the status says it all
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("create bucket %s: %s", name, resp.Status)
	}
}
