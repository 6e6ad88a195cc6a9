package testservers_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/internal/testservers"
)

func TestRedisForgetsWithoutPersistence(t *testing.T) {
	server := testservers.Redis(t)
	client := server.Client(t)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if conn, err := net.Dial("tcp", server.Addr); err == nil {
		conn.Close()
		t.Fatal("a killed server took a connection")
	}
	server.Start(t)
	if err := client.Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
		t.Fatalf("after a restart without persistence: %v, want redis.Nil", err)
	}
}

func TestRedisKeepsWhatItWroteToItsLog(t *testing.T) {
	server := testservers.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	client := server.Client(t)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start(t)
	if got, err := client.Get(t.Context(), "k").Result(); got != "v" {
		t.Fatalf("after a restart with an append-only file: %q, %v", got, err)
	}
}

func TestRedisServersAreSeparate(t *testing.T) {
	a, b := testservers.Redis(t), testservers.Redis(t)
	if a.Addr == b.Addr {
		t.Fatalf("two servers on %s", a.Addr)
	}
	if err := a.Client(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := b.Client(t).DBSize(t.Context()).Val(); n != 0 {
		t.Fatalf("the other server has %d keys", n)
	}
}

func TestS3StoresObjectsAndOutlivesAStop(t *testing.T) {
	server := testservers.S3(t)
	server.Bucket(t, "lake")
	client := s3Client(server.Endpoint, server.Region, server.AccessKey, server.SecretKey)
	put(t, client, "lake", "a/b.txt", []byte("hello"))

	server.Stop()
	if _, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("lake")}); err == nil {
		t.Fatal("a stopped gateway answered")
	}
	server.Start(t)
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("lake"), Key: aws.String("a/b.txt")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if text, err := io.ReadAll(out.Body); string(text) != "hello" || out.Metadata["workflow"] != "wf" {
		t.Fatalf("read back %q with metadata %v, %v", text, out.Metadata, err)
	}
}

func TestS3RefusesWrongCredentials(t *testing.T) {
	server := testservers.S3(t)
	server.Bucket(t, "lake")
	client := s3Client(server.Endpoint, server.Region, server.AccessKey, "wrong")
	_, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("lake")})
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Fatalf("with a wrong secret: %v, want status 403", err)
	}
}

func TestGCSServersAreSeparate(t *testing.T) {
	a, b := testservers.GCS(t), testservers.GCS(t)
	a.Bucket(t, "lake")
	for server, want := range map[*testservers.GCSServer]int{a: http.StatusOK, b: http.StatusNotFound} {
		resp, err := http.Get(server.Endpoint + "b/lake")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %s, want %d", server.Endpoint, resp.Status, want)
		}
	}
}

func TestAzureServersAreSeparateAndAskForCredentials(t *testing.T) {
	a, b := testservers.Azure(t), testservers.Azure(t)
	a.Container(t, "lake")
	b.Container(t, "lake") // which is another one
	if a.Account == b.Account || a.Addr == b.Addr {
		t.Fatalf("two servers are %s at %s", a.Account, a.Addr)
	}
	resp, err := http.Get(a.Endpoint + "/lake?restype=container")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusNotFound {
		t.Errorf("without credentials it answers %s", resp.Status)
	}
}

func TestProxyCutsAndRestores(t *testing.T) {
	server := testservers.Redis(t)
	proxy := testservers.Proxy(t, server.Addr)
	conn := dial(t, proxy.Addr)
	if got := ping(conn); got != "+PONG\r\n" {
		t.Fatalf("through the proxy: %q", got)
	}

	proxy.Cut(t)
	if got := ping(conn); got != "" {
		t.Fatalf("a cut connection answered %q", got)
	}
	if c, err := net.Dial("tcp", proxy.Addr); err == nil {
		c.Close()
		t.Fatal("a cut proxy took a connection")
	}

	proxy.Restore(t)
	if got := ping(dial(t, proxy.Addr)); got != "+PONG\r\n" {
		t.Fatalf("after Restore: %q", got)
	}
}

func TestProxyLimitsDataTowardsTheUpstream(t *testing.T) {
	server := testservers.S3(t)
	server.Bucket(t, "lake")
	proxy := testservers.Proxy(t, strings.TrimPrefix(server.Endpoint, "http://"))
	client := s3Client("http://"+proxy.Addr, server.Region, server.AccessKey, server.SecretKey)

	proxy.LimitData(t, 1<<20)
	proxy.LimitData(t, 64<<10) // the later limit holds
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("lake"), Key: aws.String("big"), Body: bytes.NewReader(make([]byte, 512<<10)),
	})
	if err == nil {
		t.Fatal("512 KiB passed a limit of 64 KiB")
	}
	proxy.Restore(t)
	put(t, client, "lake", "big", make([]byte, 512<<10))
}

func TestProxyDelaysTheUpstream(t *testing.T) {
	proxy := testservers.Proxy(t, testservers.Redis(t).Addr)
	proxy.Latency(t, 300)
	conn := dial(t, proxy.Addr)
	begin := time.Now()
	if got := ping(conn); got != "+PONG\r\n" {
		t.Fatalf("through the proxy: %q", got)
	}
	// A lower bound only: how long the answer really takes is the machine's affair.
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Fatalf("answered after %s in spite of 300 ms of latency", took)
	}
}

func TestAMissingProgramSaysHowToGetIt(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		start func(testing.TB)
		want  string
	}{
		"redis": {func(t testing.TB) { testservers.Redis(t) }, "apt-get install redis-server"},
		"s3":    {func(t testing.TB) { testservers.S3(t) }, "make tools"},
		"proxy": {func(t testing.TB) { testservers.Proxy(t, "127.0.0.1:1") }, "make tools"},
		"gcs":   {func(t testing.TB) { testservers.GCS(t) }, "make tools"},
		"azure": {func(t testing.TB) { testservers.Azure(t) }, "Node.js 20 or later and npm, then: make tools"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Chdir(root)
			got := fatalMessage(t, test.start)
			if !strings.Contains(got, test.want) {
				t.Fatalf("the failure says %q, want how to get it: %q", got, test.want)
			}
		})
	}
}

// recorder is a testing.TB that keeps the message of a fatal failure.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Fatal(args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			r.message += err.Error()
		}
	}
	panic(r) // leaves the function under test, as Fatal does
}

func fatalMessage(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if got := recover(); got != nil && got != any(r) {
				panic(got)
			}
		}()
		f(r)
	}()
	return r.message
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ping returns what Redis answers, or nothing if the connection is gone.
func ping(conn net.Conn) string {
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return ""
	}
	answer := make([]byte, len("+PONG\r\n"))
	n, _ := io.ReadFull(conn, answer)
	return string(answer[:n])
}

func s3Client(endpoint, region, accessKey, secretKey string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), Region: region, UsePathStyle: true,
		Credentials:      credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

func put(t *testing.T, client *s3.Client, bucket, key string, body []byte) {
	t.Helper()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(body),
		Metadata: map[string]string{"workflow": "wf"},
	})
	if err != nil {
		t.Fatal(err)
	}
}
