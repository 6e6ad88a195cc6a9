package storage

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/waybillhq/waybill"
)

// fault is one kind of failure and what it is recognised by: the code of an
// S3 answer first, then its HTTP status (a HEAD's answer has no body, hence no
// code), then the errors of the operating system and of the standard library.
//
// S3's codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
type fault struct {
	codes    []string
	statuses []int
	causes   []error

	verdict waybill.Verdict
	code    string
	action  string // with {store}, {permission} and {region} filled in
	means   error  // the sentinel that the failure matches
}

// faults is the one table of what can go wrong with a store.
var faults = []fault{
	{
		codes:   []string{"NoSuchBucket", "InvalidBucketName"},
		causes:  []error{errNoFolder},
		verdict: waybill.Blocked, code: "storage.no_bucket",
		action: "The {store} does not exist; create it, or correct the connector's url.",
	}, {
		codes:    []string{"AccessDenied", "AccessForbidden", "AllAccessDisabled", "AccountProblem", "Forbidden"},
		statuses: []int{http.StatusForbidden},
		verdict:  waybill.Blocked, code: "storage.access_denied",
		action: "Waybill may not use the {store}: allow it {permission} there.",
	}, {
		causes:  []error{fs.ErrPermission, syscall.EROFS},
		verdict: waybill.Blocked, code: "storage.access_denied",
		action: "Give the user that Waybill runs as the permission to read and write the {store}.",
	}, {
		causes:  []error{errEscapes, syscall.ELOOP},
		verdict: waybill.Blocked, code: "storage.symlink",
		action: "A symbolic link leads out of the {store}; remove the link.",
	}, {
		codes:   []string{"InvalidAccessKeyId", "XAdminUserNotFound"}, // the latter is versitygw's
		verdict: waybill.Blocked, code: "storage.unknown_access_key",
		action: "The access key id for the {store} is not known there; correct the connector's accessKeyId.",
	}, {
		codes:    []string{"SignatureDoesNotMatch", "InvalidSecurity", "InvalidToken", "AuthFailure", "UnrecognizedClientException"},
		statuses: []int{http.StatusUnauthorized},
		verdict:  waybill.Blocked, code: "storage.bad_credentials",
		action: "The credentials for the {store} are not accepted; correct the connector's access, the secretAccessKey above all.",
	}, {
		causes:  []error{errNoCredentials},
		verdict: waybill.Blocked, code: "storage.no_credentials",
		action: "There are no credentials for the {store}: give the connector an access, or Waybill's machine an identity of its own.",
	}, {
		codes:   []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"},
		verdict: waybill.Blocked, code: "storage.expired_credentials",
		action: "The session credentials for the {store} have expired; renew them in the connector's access.",
	}, {
		codes:    []string{"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently"},
		statuses: []int{http.StatusMovedPermanently},
		verdict:  waybill.Blocked, code: "storage.wrong_region",
		action: "The {store} is in {region}; set the connector's region to that.",
	}, {
		codes:   []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"},
		verdict: waybill.Blocked, code: "storage.clock_skew",
		action: "The clock of the machine that Waybill runs on is wrong; its operator must set it right, best with NTP.",
	}, {
		codes: []string{"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
			"TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded"},
		statuses: []int{http.StatusTooManyRequests, http.StatusServiceUnavailable},
		verdict:  waybill.Throttled, code: "storage.throttled",
		action: "The {store} asks for fewer requests; Waybill waits and tries again by itself.",
	}, {
		codes:    []string{"PreconditionFailed"},
		statuses: []int{http.StatusPreconditionFailed},
		causes:   []error{ErrPrecondition},
		verdict:  waybill.Transient, code: "storage.conflict",
		action: "Another writer changed the object meanwhile; the step looks again and is repeated by itself.",
		means:  ErrPrecondition,
	}, {
		// Not ErrPrecondition: S3 has not decided whose write it takes.
		codes:    []string{"ConditionalRequestConflict", "OperationAborted"},
		statuses: []int{http.StatusConflict},
		verdict:  waybill.Transient, code: "storage.contended",
		action: "Two writers met on one object; the step is repeated by itself.",
	}, {
		codes:   []string{"ObjectParentIsFile", "ExistingObjectIsDirectory"},
		causes:  []error{errKeyTaken, syscall.ENOTDIR, syscall.EISDIR},
		verdict: waybill.Blocked, code: "storage.key_taken",
		action: "The {store} holds a file where the connector's path needs a folder, or a folder where it needs a file; move that out of the way or change the path.",
	}, {
		// Not every 404: a server that is no S3 at all must not look like an empty store.
		codes:   []string{"NoSuchKey", "NoSuchVersion"},
		causes:  []error{fs.ErrNotExist},
		verdict: waybill.Permanent, code: "storage.not_found",
		action: "The object is not in the {store} (any more); hand the run in again if it is still wanted.",
		means:  ErrNotExist,
	}, {
		codes: []string{"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody",
			"InvalidPart", "InvalidPartOrder", "NoSuchUpload"},
		causes:  []error{errCorrupted},
		verdict: waybill.Transient, code: "storage.corrupted",
		action: "What arrived in the {store} is not what was sent; the upload is repeated by itself.",
	}, {
		codes:    []string{"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"},
		statuses: []int{http.StatusInsufficientStorage},
		causes:   []error{syscall.ENOSPC, syscall.EDQUOT},
		verdict:  waybill.Blocked, code: "storage.full",
		action: "The {store} is full; make room or raise its quota.",
	}, {
		codes:    []string{"EntityTooLarge"},
		statuses: []int{http.StatusRequestEntityTooLarge},
		causes:   []error{errTooLarge, syscall.EFBIG},
		verdict:  waybill.Permanent, code: "storage.too_large",
		action: "The file is larger than one object of the {store} can be; set maxFileBytes, so that the run becomes several files.",
	}, {
		codes:   []string{"KeyTooLongError"},
		causes:  []error{syscall.ENAMETOOLONG},
		verdict: waybill.Blocked, code: "storage.key_too_long",
		action: "The connector's path gives names that are too long for the {store}; shorten it.",
	}, {
		codes:   []string{"InvalidObjectState"},
		verdict: waybill.Blocked, code: "storage.archived",
		action: "The object was moved to an archive tier of the {store}; restore it there.",
	}, {
		codes:    []string{"NotImplemented"},
		statuses: []int{http.StatusNotImplemented},
		causes:   []error{errors.ErrUnsupported},
		verdict:  waybill.Permanent, code: "storage.unsupported",
		action: "The {store} cannot do what Waybill asks of it; deliver to another store.",
		means:  errors.ErrUnsupported,
	}, {
		codes: []string{"InternalError", "RequestTimeout", "TemporaryRedirect"},
		statuses: []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout,
			http.StatusRequestTimeout, http.StatusTemporaryRedirect},
		verdict: waybill.Transient, code: "storage.unavailable",
		action: "The service behind the {store} has a fault of its own; the step is repeated by itself.",
	}, {
		causes:  []error{syscall.EIO, errFolder},
		verdict: waybill.Transient, code: "storage.io",
		action: "Reading or writing the {store} failed; the step is repeated by itself; if it lasts, look at the disk.",
	},
}

// The faults that an answer without a row is taken for.
var (
	refused = fault{verdict: waybill.Permanent, code: "storage.refused",
		action: "The {store} refuses a request of Waybill's; look at the worker's log for its reason."}
	unreachable = fault{verdict: waybill.Transient, code: "storage.unreachable",
		action: "The {store} cannot be reached; the step is repeated by itself; if it lasts, check the connector's endpoint and the network."}
	untrusted = fault{verdict: waybill.Blocked, code: "storage.tls",
		action: "The certificate of the {store} is not trusted; mend the certificate or the connector's endpoint."}
	cancelled = fault{verdict: waybill.Transient, code: "storage.cancelled",
		action: "The step was cut off by its time limit or by a shutdown; it is repeated by itself."}
)

var (
	errNoFolder      = errors.New("no such folder")
	errFolder        = errors.New("folder")
	errEscapes       = errors.New("a symbolic link leads out of the folder")
	errKeyTaken      = errors.New("a folder and a file of one name")
	errNoCredentials = errors.New("no credentials")
	errCorrupted     = errors.New("checksum differs")
	errTooLarge      = errors.New("too large for one object")
)

// retryAfter is the wait where a throttling store names none, and the longest taken from it.
const (
	retryAfter    = 5 * time.Second
	maxRetryAfter = time.Hour
)

// failure returns err as a Failure about the store, e.g. "bucket acme". A
// Failure that a reader, a credential source or a dialer put into err is
// handed on: they know better.
func failure(ctx context.Context, store string, err error) error {
	if _, ok := errors.AsType[*waybill.Failure](err); ok || err == nil {
		return err
	}
	if ctx.Err() != nil {
		return cancelled.failure(store, fmt.Errorf("%w (%w): %w", ctx.Err(), context.Cause(ctx), err))
	}
	f := recognise(err)
	out := f.failure(store, err)
	if f.verdict == waybill.Throttled {
		out.After = wait(err)
	}
	return out
}

func (f fault) failure(store string, err error) *waybill.Failure {
	if f.means != nil && !errors.Is(err, f.means) {
		err = fmt.Errorf("%w: %w", f.means, err)
	}
	action := strings.NewReplacer("{store}", store, "{permission}", permission(err), "{region}", region(err)).Replace(f.action)
	return &waybill.Failure{Verdict: f.verdict, Code: f.code, Action: action, Err: err}
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
			return faults[i]
		}
	}
	switch {
	case status >= 500:
		return faults[slices.IndexFunc(faults, func(f fault) bool { return f.code == "storage.unavailable" })]
	case status >= 300 || code != "":
		return refused
	case isCertificateError(err):
		return untrusted
	}
	return unreachable
}

// answer returns the code and HTTP status of a store's answer; both are empty
// where there was none.
func answer(err error) (code string, status int) {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() >= 300 {
		status = resp.HTTPStatusCode()
	}
	return code, status
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

func header(err error, name string) string {
	resp, _ := errors.AsType[*smithyhttp.ResponseError](err)
	if resp == nil || resp.Response == nil || resp.Response.Response == nil {
		return ""
	}
	return resp.Response.Header.Get(name)
}
