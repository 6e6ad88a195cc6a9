package testservers

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// AzureServer is an Azurite process: Azure Blob's public emulator.
type AzureServer struct {
	Addr     string // host:port
	Endpoint string // http://host:port/account, the account's service URL
	Account  string
	Key      string // shared key, base64
}

// Azure starts a server with one storage account and without containers, that
// keeps everything in memory.
func Azure(t testing.TB) *AzureServer {
	t.Helper()
	node, script, err := nodeScript("azurite", "azurite/dist/src/blob/main.js")
	if err != nil {
		t.Fatal(err)
	}
	s := &AzureServer{ // an account that no other server has, should one have taken the port
		Account: strings.ToLower(rand.Text()[:20]),
		Key:     base64.StdEncoding.EncodeToString([]byte(rand.Text())),
	}
	dir := t.TempDir()
	_, _, err = onFreePort(func(port string) (*process, error) {
		s.Addr = net.JoinHostPort("127.0.0.1", port)
		s.Endpoint = "http://" + s.Addr + "/" + s.Account
		return start(t, command{
			path: node, dir: dir, env: []string{"AZURITE_ACCOUNTS=" + s.Account + ":" + s.Key},
			args: []string{
				script, "--blobHost", "127.0.0.1", "--blobPort", port, "--inMemoryPersistence",
				"--silent", "--disableTelemetry", "--skipApiVersionCheck",
			},
			ready: func(ctx context.Context, _ int) error { return s.call(ctx, http.MethodGet, "", "comp", "list") },
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Container creates a container.
func (s *AzureServer) Container(t testing.TB, name string) {
	t.Helper()
	if err := s.call(t.Context(), http.MethodPut, "/"+name, "restype", "container"); err != nil {
		t.Fatal(err)
	}
}

// call makes a request without a body, with one query parameter, signed with the key:
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
func (s *AzureServer) call(ctx context.Context, method, path, name, value string) error {
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path+"?"+name+"="+value, http.NoBody)
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(s.Key)
	if err != nil {
		return err
	}
	const version = "2021-12-02"
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s%sx-ms-date:%s\nx-ms-version:%s\n/%s/%s%s\n%s:%s", method, strings.Repeat("\n", 12), // headers that are not there
		date, version, s.Account, s.Account, path, name, value)
	req.Header.Set("X-Ms-Date", date)
	req.Header.Set("X-Ms-Version", version)
	req.Header.Set("Authorization", "SharedKey "+s.Account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the status says it all
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, req.URL, resp.Status)
	}
	return nil
}
