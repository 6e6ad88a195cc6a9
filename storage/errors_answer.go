package storage

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/auth"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"google.golang.org/api/googleapi"
)

// dialect is how a service names what its failures are about.
type dialect struct {
	secret  string // what proves who Waybill is
	session string // what proves it for a while
	role    string // whom Waybill acts as
	trust   string // what lets it
}

// asked says which service an error came from, and what had to be allowed for
// what was asked of it. Errors of S3 tell that themselves.
type asked struct {
	error
	of         dialect
	permission string
}

func (a asked) Unwrap() error { return a.error }

func dialectOf(err error) dialect {
	if a, ok := errors.AsType[asked](err); ok {
		return a.of
	}
	return s3Dialect
}

// recognise finds the row of the table, the surest mark first.
func recognise(err error) fault {
	code, status := answer(err)
	for _, by := range []func(fault) bool{
		func(f fault) bool { return slices.Contains(f.codes, code) },
		func(f fault) bool { return slices.Contains(f.statuses, status) },
		func(f fault) bool {
			return slices.ContainsFunc(f.causes, func(cause error) bool { return errors.Is(err, cause) })
		},
	} {
		if i := slices.IndexFunc(faults, by); i >= 0 {
			return suspectClock(faults[i], err)
		}
	}
	switch {
	case status >= 500:
		return row(codeUnavailable)
	case status >= 300 || code != "":
		return refused
	case isCertificateError(err):
		return untrusted
	}
	return unreachable
}

// row is the first one of the table with that code.
func row(code string) fault {
	return faults[slices.IndexFunc(faults, func(f fault) bool { return f.code == code })]
}

// clockTolerance is less than what services allow, the strictest of them 5 minutes.
const clockTolerance = 4 * time.Minute

// suspectClock tells credentials that are wrong from a clock that is: Google
// and Azure answer both alike, but with their own time.
func suspectClock(f fault, err error) fault {
	if f.code != codeBadCredentials {
		return f
	}
	theirs, parseErr := http.ParseTime(header(err, "Date"))
	if parseErr != nil || time.Since(theirs).Abs() < clockTolerance {
		return f
	}
	return row(codeClockSkew)
}

// answer returns the code and HTTP status of a store's answer; both are empty
// where there was none.
func answer(err error) (code string, status int) {
	if google, ok := errors.AsType[*googleapi.Error](err); ok {
		return googleCode(google), google.Code
	}
	if azure, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return azure.ErrorCode, azure.StatusCode
	}
	if token, ok := errors.AsType[*auth.Error](err); ok && token.Response != nil {
		return tokenCode(token.Body), token.Response.StatusCode
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() >= 300 {
		status = resp.HTTPStatusCode()
	}
	return code, status
}

// googleCode is the reason that the JSON API gives, or the code of the XML API,
// which is S3's.
func googleCode(err *googleapi.Error) string {
	if len(err.Errors) > 0 {
		return err.Errors[0].Reason
	}
	var answer struct {
		Code string `xml:"Code"`
	}
	_ = xml.Unmarshal([]byte(err.Body), &answer) // what is no XML has no code
	return answer.Code
}

// tokenCode: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
func tokenCode(body []byte) string {
	var answer struct {
		Code string `json:"error"`
	}
	_ = json.Unmarshal(body, &answer) // what is no JSON has no code
	return answer.Code
}

func isCertificateError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return verification || authority || host
}

// permissions names what a policy must allow for each operation. Without
// s3:ListBucket, S3 answers "forbidden" for an object that is not there.
var permissions = map[string]string{
	"PutObject":               "s3:PutObject",
	"CreateMultipartUpload":   "s3:PutObject",
	"UploadPart":              "s3:PutObject",
	"CompleteMultipartUpload": "s3:PutObject",
	"AbortMultipartUpload":    "s3:AbortMultipartUpload",
	"HeadObject":              "s3:GetObject and s3:ListBucket",
	"GetObject":               "s3:GetObject and s3:ListBucket",
	"ListObjectsV2":           "s3:ListBucket",
	"CopyObject":              "s3:GetObject and s3:PutObject",
	"DeleteObject":            "s3:DeleteObject",
}

func permission(err error) string {
	if a, ok := errors.AsType[asked](err); ok && a.permission != "" {
		return a.permission
	}
	op, _ := errors.AsType[*smithy.OperationError](err)
	if op == nil {
		return "what it needs"
	}
	return cmp.Or(permissions[op.Operation()], "what it needs")
}

// region is the bucket's region, as the answer's header names it.
func region(err error) string {
	if name := header(err, "X-Amz-Bucket-Region"); name != "" && len(name) < 64 {
		return "region " + name
	}
	return "another region"
}

// wait is how long the store asks to be left alone.
func wait(err error) time.Duration {
	text := header(err, "Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), retryAfter), maxRetryAfter)
	}
	return retryAfter
}

// header is a header of the store's answer, empty where there was none.
func header(err error, name string) string {
	var of http.Header
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.Response != nil && resp.Response.Response != nil {
		of = resp.Response.Header
	} else if google, ok := errors.AsType[*googleapi.Error](err); ok {
		of = google.Header
	} else if azure, ok := errors.AsType[*azcore.ResponseError](err); ok && azure.RawResponse != nil {
		of = azure.RawResponse.Header
	} else if token, ok := errors.AsType[*auth.Error](err); ok && token.Response != nil {
		of = token.Response.Header
	}
	return of.Get(name)
}
