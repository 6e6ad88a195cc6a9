package storage

import (
	"net"
	"net/http"
	"time"
)

// maxBackoff is the longest wait between two attempts of one request.
const maxBackoff = 5 * time.Second

// client is the given client, or one with limits on every wait but that for
// bodies, which may be long. Redirects are for the SDK to see: they tell a
// bucket's true region.
func client(given *http.Client) *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   32,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
	}}
	if given != nil {
		c = *given
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}
