package config

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill/internal/secrets"
	"github.com/waybillhq/waybill/internal/testservers"
)

func TestRedisOptions(t *testing.T) {
	t.Setenv("WB_TEST_PW", "hunter2")
	t.Setenv("WB_TEST_SENTINEL_PW", "hunter3")
	password := ref(t, "env:WB_TEST_PW")
	for name, c := range map[string]struct {
		redis Redis
		check func(o *redis.UniversalOptions) bool
	}{
		"default": {Redis{}, func(o *redis.UniversalOptions) bool {
			return slices.Equal(o.Addrs, []string{"127.0.0.1:6379"}) && o.DB == 0 && o.TLSConfig == nil && o.CredentialsProviderContext == nil
		}},
		"user in the URL": {Redis{URL: "redis://waybill@h:1/3", Password: password}, func(o *redis.UniversalOptions) bool {
			user, pw, err := o.CredentialsProviderContext(context.Background())
			return o.Addrs[0] == "h:1" && o.DB == 3 && o.Username == "waybill" && user == "waybill" && pw == "hunter2" && err == nil
		}},
		"user beside the URL": {Redis{URL: "redis://h", Username: "u", Password: password}, func(o *redis.UniversalOptions) bool {
			user, _, _ := o.CredentialsProviderContext(context.Background())
			return o.Addrs[0] == "h:6379" && user == "u"
		}},
		"TLS": {Redis{URL: "rediss://[::1]:6380"}, func(o *redis.UniversalOptions) bool {
			return o.Addrs[0] == "[::1]:6380" && o.TLSConfig != nil && !o.TLSConfig.InsecureSkipVerify && o.TLSConfig.MinVersion == tls.VersionTLS12
		}},
		"sentinel": {Redis{
			Sentinel: Sentinel{Master: "m", Addrs: []string{"a:1", "b:2"}, DB: 4, Username: "watcher", Password: ref(t, "env:WB_TEST_SENTINEL_PW")},
			Password: password, TLS: TLS{Enabled: true},
		}, func(o *redis.UniversalOptions) bool {
			f := o.Failover()
			return f.MasterName == "m" && f.DB == 4 && f.SentinelUsername == "watcher" && f.SentinelPassword == "hunter3" &&
				f.CredentialsProviderContext != nil && f.TLSConfig != nil && slices.Equal(f.SentinelAddrs, []string{"a:1", "b:2"})
		}},
		"cluster of one seed": {Redis{Cluster: Cluster{Addrs: []string{"a:1"}}}, func(o *redis.UniversalOptions) bool {
			return o.IsClusterMode && o.Addrs[0] == "a:1"
		}},
		"timeouts": {Redis{}, func(o *redis.UniversalOptions) bool {
			return o.DialTimeout == 2*time.Second && o.ReadTimeout == 3*time.Second && o.WriteTimeout == 3*time.Second &&
				o.MaxRetries == 3 && o.DialerRetries == 1 && o.PoolSize == 33
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := c.redis.Options(t.Context(), secrets.NewResolver(), 33)
			if err != nil || !c.check(o) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestRedisOptionsFail(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]Redis{
		"redis.url: is not a Redis URL":                  {URL: "http://hunter2"},
		`resolve "env:WB_TEST_UNSET"`:                    {Password: ref(t, "env:WB_TEST_UNSET")},
		`resolve "env:WB_TEST_UNSET_2"`:                  {Sentinel: Sentinel{Master: "m", Password: ref(t, "env:WB_TEST_UNSET_2")}},
		"read redis.tls.ca":                              {URL: "rediss://h", TLS: TLS{CA: "/does/not/exist"}},
		"redis.tls.ca: holds no certificate in PEM form": {URL: "rediss://h", TLS: TLS{CA: notPEM}},
	} {
		if _, err := r.Options(t.Context(), secrets.NewResolver(), 1); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestConnectOverTLSAsAUserWhosePasswordIsRotated(t *testing.T) {
	files := testservers.NewCertificates(t, "redis.test")
	cert, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	withCert := &tls.Config{Certificates: []tls.Certificate{cert}}
	server := miniredis.NewMiniRedis()
	if err := server.StartTLS(withCert); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	server.RequireUserAuth("waybill", "first")
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, "first\n")
	r := Redis{URL: "rediss://waybill@" + server.Addr() + "/0", Password: ref(t, "file:"+password), TLS: TLS{CA: files.CAFile, ServerName: "redis.test"}}
	client, err := r.Connect(t.Context(), secrets.NewResolver(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	addr := server.Addr()
	server.Close() // every connection is cut: the client dials anew
	server.RequireUserAuth("waybill", "second")
	if err := server.StartAddrTLS(addr, withCert); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("the old password gave %v", err)
	}
	writeFile(t, password, "second\n")
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the rotated password was not used: %v", err)
	}
}

func TestConnectFails(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	t.Setenv("WB_TEST_WRONG", "hunter2")
	r := Redis{URL: "redis://" + server.Addr(), Password: ref(t, "env:WB_TEST_WRONG")}
	_, err := r.Connect(t.Context(), secrets.NewResolver(), 1)
	if err == nil || !strings.Contains(err.Error(), "reach Redis at "+server.Addr()) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestHowManyReplicasConfirm(t *testing.T) {
	sentinel, cluster := Sentinel{Master: "m"}, Cluster{Addrs: []string{"a:1"}}
	for want, list := range map[int][]Redis{
		0:  {{}},
		1:  {{Sentinel: sentinel}, {Cluster: cluster}, {WaitReplicas: 1}},
		2:  {{WaitReplicas: 2}, {Cluster: cluster, WaitReplicas: 2}},
		-1: {{WaitReplicas: NoReplicas}, {Sentinel: sentinel, WaitReplicas: NoReplicas}},
	} {
		for _, r := range list {
			if got := r.Confirming(); got != want {
				t.Errorf("%+v: %d, want %d", r, got, want)
			}
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
