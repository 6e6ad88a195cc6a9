package testservers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TLSServer is a Redis server that also speaks TLS.
type TLSServer struct {
	*RedisServer
	TLSAddr string // host:port where it speaks TLS; at Addr it does not
	Certificates
}

// RedisTLS starts a Redis server whose certificate is for the host name alone,
// from an authority of its own.
func RedisTLS(t testing.TB, host string, args ...string) *TLSServer {
	t.Helper()
	s := &TLSServer{RedisServer: &RedisServer{dir: t.TempDir()}, Certificates: NewCertificates(t, host)}
	s.command = func(port string) []string {
		tlsPort, err := freePort()
		ok(t, err)
		s.TLSAddr = net.JoinHostPort("127.0.0.1", tlsPort)
		return s.standalone(port, append([]string{"--tls-port", tlsPort, "--tls-auth-clients", "no",
			"--tls-cert-file", s.CertFile, "--tls-key-file", s.KeyFile, "--tls-ca-cert-file", s.CAFile}, args...))
	}
	startRedis(t, s.RedisServer)
	return s
}

// Certificates are files, in PEM form, of an authority and of a server.
type Certificates struct{ CAFile, CertFile, KeyFile string }

// NewCertificates makes an authority, and a server's certificate for the host,
// which may be an address. Both are good for an hour.
func NewCertificates(t testing.TB, host string) Certificates {
	t.Helper()
	dir := t.TempDir()
	c := Certificates{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server of a test"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		server.IPAddresses = []net.IP{ip}
	} else {
		server.DNSNames = []string{host}
	}
	caKey, key := newKey(t), newKey(t)
	writePEM(t, c.CAFile, "CERTIFICATE", sign(t, authority, authority, caKey, caKey))
	writePEM(t, c.CertFile, "CERTIFICATE", sign(t, server, authority, key, caKey))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ok(t, err)
	writePEM(t, c.KeyFile, "PRIVATE KEY", der)
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	return key
}

func sign(t testing.TB, certificate, authority *x509.Certificate, key, authorityKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, &key.PublicKey, authorityKey)
	ok(t, err)
	return der
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	ok(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
