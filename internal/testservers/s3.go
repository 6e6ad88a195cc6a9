package testservers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// S3Server is a versitygw process: an S3 gateway over a folder.
type S3Server struct {
	Endpoint  string // http://127.0.0.1:port, or https
	AccessKey string
	SecretKey string
	Region    string

	path, root string
	port       string
	tls        *Certificates // nil: it speaks http
	args       []string      // beyond what every gateway gets
	process    *process
}

// S3 starts an S3 gateway without buckets.
func S3(t testing.TB) *S3Server {
	t.Helper()
	return startS3(t, &S3Server{})
}

// S3TLS starts one that speaks https, as customers' stores do, with a
// certificate of an authority of its own, and with further options of
// versitygw's backend posix.
func S3TLS(t testing.TB, args ...string) (*S3Server, Certificates) {
	t.Helper()
	certificates := NewCertificates(t, "127.0.0.1")
	return startS3(t, &S3Server{tls: &certificates, args: args}), certificates
}

func startS3(t testing.TB, s *S3Server) *S3Server {
	t.Helper()
	path, err := pinnedProgram("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	s.AccessKey, s.SecretKey, s.Region = "waybill-test", "waybill-test-secret", "us-east-1"
	s.path, s.root = path, t.TempDir()
	s.process, s.port, err = onFreePort(func(port string) (*process, error) { return s.start(t, port) })
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = s.url(s.port)
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

func (s *S3Server) url(port string) string {
	scheme := "http://"
	if s.tls != nil {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort("127.0.0.1", port)
}

func (s *S3Server) start(t testing.TB, port string) (*process, error) {
	health := "/" + uniqueName() // no other gateway answers here, should one have taken the port
	args := []string{"--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region,
		"--port", net.JoinHostPort("127.0.0.1", port), "--health", health, "--keep-alive", "--quiet"}
	if s.tls != nil {
		args = append(args, "--cert", s.tls.CertFile, "--key", s.tls.KeyFile)
	}
	return start(t, command{
		path: s.path, dir: s.root, args: slices.Concat(args, []string{"posix"}, s.args, []string{s.root}),
		ready: func(ctx context.Context, _ int) error { return httpAnswers(ctx, s.url(port)+health) },
	})
}
