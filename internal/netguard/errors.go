package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/waybillhq/waybill"
)

// refusedAddress is Blocked like every refusal: whoever named the host must
// name another one, or the operator must allow this one; no retry helps, and
// nothing is lost meanwhile.
func refusedAddress(r *Refusal) error {
	return &waybill.Failure{Verdict: waybill.Blocked, Code: "net.address_refused", Err: r,
		Action: fmt.Sprintf("The server %.300s is not on the public internet; name one that is, or have the operator of the fleet allow it under network.allow.", r.Host)}
}

func refused(code, what, host, format string, args ...any) error {
	return &waybill.Failure{Verdict: waybill.Blocked, Code: code, Err: fmt.Errorf("request to %.300q: %w", host, fmt.Errorf(format, args...)),
		Action: fmt.Sprintf("The server %.300s %s.", host, what)}
}

// fault is one way in which a request gets no answer.
type fault struct {
	is      func(error) bool
	verdict waybill.Verdict
	code    string
	action  string // after "The server HOST "
}

// faults is the one table of them; the first match counts.
var faults = []fault{
	{isUntrusted, waybill.Blocked, "net.tls", "does not prove who it is: its certificate is not trusted, or it does not speak TLS; mend that, or the address."},
	{isHeader, waybill.Blocked, "net.header_too_large", "answers with a header that is far too large; it is hardly the server that was meant."},
	{isUnknownHost, waybill.Transient, "net.unknown_host", "is not known to the DNS; it is tried again by itself; if it lasts, correct the address."},
	{isTimeout, waybill.Transient, "net.timeout", "does not answer in time; it is tried again by itself."},
	{isAny, waybill.Transient, "net.unreachable", "cannot be reached; it is tried again by itself; if it lasts, check the address and the network."},
}

// failure classifies the error of a request to host. A failure that is in it
// already is handed on, without what net/http wrapped around it: that holds
// the URL, and its query may be a signature.
func failure(ctx context.Context, host string, err error) error {
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		return f
	}
	if ctx.Err() != nil {
		return fmt.Errorf("request to %.300q: %w", host, ctx.Err())
	}
	for _, f := range faults {
		if f.is(err) {
			return &waybill.Failure{Verdict: f.verdict, Code: f.code, Err: &requestError{host, err},
				Action: fmt.Sprintf("The server %.300s %s", host, f.action)}
		}
	}
	return nil // not reached: the last row takes any error
}

// requestError shows its cause without the queries of URLs in it: net/http
// puts the URL into its text, and a Location that it cannot parse.
type requestError struct {
	host string
	err  error
}

var query = regexp.MustCompile(`\?[^\s"]*`)

func (e *requestError) Error() string {
	return fmt.Sprintf("request to %.300q: %.1000s", e.host, query.ReplaceAllString(e.err.Error(), "?…"))
}

func (e *requestError) Unwrap() error { return e.err }

func isUntrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return verification || authority || host || record || alert || errors.Is(err, http.ErrSchemeMismatch)
}

// isHeader goes by the text: net/http has no type for it.
func isHeader(err error) bool {
	return strings.Contains(err.Error(), "response headers exceeded") || strings.Contains(err.Error(), "response header list larger")
}

func isUnknownHost(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func isAny(error) bool { return true }
