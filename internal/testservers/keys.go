package testservers

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"sync"
	"testing"
)

// Key is a private key of the tests', one a process: making one is slow.
var Key = sync.OnceValue(NewKey)

// NewKey makes another one.
func NewKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// PEM writes a private key as PKCS #8, as vendors hand it out and take it.
func PEM(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// ServiceAccount is the key file of a Google service account whose tokens come
// from tokenURL.
// https://cloud.google.com/iam/docs/keys-create-delete
func ServiceAccount(t testing.TB, tokenURL string) string {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "acme", "client_email": "waybill@acme.iam.gserviceaccount.com", "client_id": "1",
		"private_key_id": "k1", "private_key": PEM(Key()), "token_uri": tokenURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
