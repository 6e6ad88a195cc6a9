package testservers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// S3Server is a versitygw process: an S3 gateway over a folder.
type S3Server struct {
	Endpoint  string // http://127.0.0.1:port
	AccessKey string
	SecretKey string
	Region    string

	path, root string
	port       string
	process    *process
}

// S3 starts an S3 gateway without buckets.
func S3(t testing.TB) *S3Server {
	t.Helper()
	path, err := pinnedProgram("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	s := &S3Server{
		AccessKey: "waybill-test", SecretKey: "waybill-test-secret", Region: "us-east-1",
		path: path, root: t.TempDir(),
	}
	s.process, s.port, err = onFreePort(func(port string) (*process, error) { return s.start(t, port) })
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://" + net.JoinHostPort("127.0.0.1", s.port)
	return s
}

// Bucket creates a bucket: the gateway takes each folder below its root for one.
func (s *S3Server) Bucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.root, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the gateway with SIGKILL and returns when it is gone.
func (s *S3Server) Stop() { s.process.kill() }

// Start starts the gateway again after [S3Server.Stop], on the same port and
// with the same buckets.
func (s *S3Server) Start(t testing.TB) {
	t.Helper()
	s.process.kill()
	var err error
	if s.process, err = s.start(t, s.port); err != nil {
		t.Fatal(err)
	}
}

func (s *S3Server) start(t testing.TB, port string) (*process, error) {
	addr := net.JoinHostPort("127.0.0.1", port)
	health := "/" + uniqueName() // no other gateway answers here, should one have taken the port
	return start(t, command{
		path: s.path, dir: s.root,
		args: []string{
			"--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region,
			"--port", addr, "--health", health, "--keep-alive", "--quiet", "posix", s.root,
		},
		ready: func(ctx context.Context, _ int) error { return httpAnswers(ctx, "http://"+addr+health) },
	})
}
