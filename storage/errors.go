package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/waybillhq/waybill"
)

// fault is one kind of failure and what it is recognised by: the code of a
// service's answer first, then its HTTP status (a HEAD's answer has no body, and
// S3's hence no code), then the errors of the operating system and of the
// standard library, and what an adapter found out itself.
//
// The services' codes, in each row S3's first, then Google's, then Azure's:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
// https://cloud.google.com/storage/docs/json_api/v1/status-codes
// https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
type fault struct {
	codes    []string
	statuses []int
	causes   []error

	verdict waybill.Verdict
	code    string
	action  string // with {store}, {permission}, {region} and the service's words filled in
	means   error  // the sentinel that the failure matches
}

// The codes of rows that are looked up.
const (
	codeBadCredentials = "storage.bad_credentials"
	codeClockSkew      = "storage.clock_skew"
	codeUnavailable    = "storage.unavailable"
)

// faults is the one table of what can go wrong with a store.
var faults = []fault{
	{
		codes:   []string{"NoSuchBucket", "InvalidBucketName", "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled"},
		causes:  []error{errNoBucket},
		verdict: waybill.Blocked, code: "storage.no_bucket",
		action: "The {store} does not exist; create it, or correct the connector's url.",
	}, {
		codes: []string{"AccessDenied", "AccessForbidden", "AllAccessDisabled", "AccountProblem", "Forbidden",
			"forbidden", "insufficientPermissions", "accountDisabled", "UserProjectAccountProblem",
			"AuthorizationFailure", "AuthorizationPermissionMismatch", "AuthorizationProtocolMismatch", "AuthorizationResourceTypeMismatch",
			"AuthorizationServiceMismatch", "AuthorizationSourceIPMismatch", "InsufficientAccountPermissions", "AccountIsDisabled",
			"PublicAccessNotPermitted", "KeyBasedAuthenticationNotPermitted", "UnauthorizedBlobOverwrite"},
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
		codes: []string{"SignatureDoesNotMatch", "InvalidSecurity", "InvalidToken", "AuthFailure", "UnrecognizedClientException",
			"invalid_grant", "invalid_client", "unauthorized_client", "authError",
			"AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"},
		statuses: []int{http.StatusUnauthorized},
		verdict:  waybill.Blocked, code: codeBadCredentials,
		action: "The credentials for the {store} are not accepted; correct the connector's access, the {secret} above all.",
	}, {
		causes:  []error{errBadSecret},
		verdict: waybill.Blocked, code: codeBadCredentials,
		action: "What stands for the {secret} of the {store} is not one; put the whole of it where the connector's access refers to.",
	}, {
		causes:  []error{errNoCredentials},
		verdict: waybill.Blocked, code: "storage.no_credentials",
		action: "There are no credentials for the {store}: give the connector an access, or Waybill's machine an identity of its own.",
	}, {
		codes:   []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"},
		causes:  []error{errExpired},
		verdict: waybill.Blocked, code: "storage.expired_credentials",
		action: "The {session} for the {store} has expired; renew it in the connector's access.",
	}, {
		codes:    []string{"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently"},
		statuses: []int{http.StatusMovedPermanently},
		verdict:  waybill.Blocked, code: "storage.wrong_region",
		action: "The {store} is in {region}; set the connector's region to that.",
	}, {
		codes:   []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"},
		verdict: waybill.Blocked, code: codeClockSkew,
		action: "The clock of the machine that Waybill runs on is wrong; its operator must set it right, best with NTP.",
	}, {
		codes: []string{"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
			"TooManyRequests", "RequestLimitExceeded", "BandwidthLimitExceeded",
			"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "ServerBusy"},
		statuses: []int{http.StatusTooManyRequests, http.StatusServiceUnavailable},
		verdict:  waybill.Throttled, code: "storage.throttled",
		action: "The {store} asks for fewer requests; Waybill waits and tries again by itself.",
	}, {
		codes:    []string{"PreconditionFailed", "conditionNotMet", "ConditionNotMet", "TargetConditionNotMet", "BlobAlreadyExists"},
		statuses: []int{http.StatusPreconditionFailed},
		causes:   []error{ErrPrecondition},
		verdict:  waybill.Transient, code: "storage.conflict",
		action: "Another writer changed the object meanwhile; the step looks again and is repeated by itself.",
		means:  ErrPrecondition,
	}, {
		// Not ErrPrecondition: S3 has not decided whose write it takes; in Azure, another
		// writer's commit has swept away the blocks of this one.
		codes: []string{"ConditionalRequestConflict", "OperationAborted", "conflict",
			"InvalidBlockList", "InvalidBlobOrBlock", "InvalidBlockId", "PendingCopyOperation"},
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
		codes:   []string{"NoSuchKey", "NoSuchVersion", "BlobNotFound"},
		causes:  []error{ErrNotExist, fs.ErrNotExist},
		verdict: waybill.Permanent, code: "storage.not_found",
		action: "The object is not in the {store} (any more); hand the run in again if it is still wanted.",
		means:  ErrNotExist,
	}, {
		codes: []string{"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "IncompleteBody",
			"InvalidPart", "InvalidPartOrder", "NoSuchUpload", "Md5Mismatch", "Crc64Mismatch", "InvalidMd5"},
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
		codes:    []string{"EntityTooLarge", "uploadTooLarge", "RequestBodyTooLarge", "BlockCountExceedsLimit", "BlockListTooLong"},
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
		codes:   []string{"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"},
		verdict: waybill.Blocked, code: "storage.archived",
		action: "The object was moved to an archive tier of the {store}; restore it there.",
	}, {
		codes: []string{"retentionPolicyNotMet", "objectUnderActiveHold", "ObjectUnderActiveHold",
			"BlobImmutableDueToPolicy", "LeaseIdMissing", "LeaseIdMismatchWithBlobOperation", "SnapshotsPresent"},
		verdict: waybill.Blocked, code: "storage.immutable",
		action: "The {store} lets nobody replace or delete the object, because of a retention policy, a hold, a lease or a snapshot; lift that, or change the connector's path.",
	}, {
		codes: []string{"KMS.NotFoundException", "KMS.DisabledException", "KMS.KMSInvalidStateException", "KMS.InvalidKeyUsageException",
			"KMS.KeyUnavailableException", "KeyVaultEncryptionKeyNotFound", "KeyVaultVaultNotFound", "KeyVaultAccessTokenCannotBeAcquired"},
		verdict: waybill.Blocked, code: "storage.encryption_key",
		action: "The key that encrypts what is in the {store} cannot be used; enable it there, or correct the connector's kmsKeyId.",
	}, {
		codes:    []string{"NotImplemented"},
		statuses: []int{http.StatusNotImplemented},
		causes:   []error{errors.ErrUnsupported},
		verdict:  waybill.Permanent, code: "storage.unsupported",
		action: "The {store} cannot do what Waybill asks of it; deliver to another store.",
		means:  errors.ErrUnsupported,
	}, {
		codes: []string{"InternalError", "RequestTimeout", "TemporaryRedirect", "backendError", "internalError", "OperationTimedOut", "AccountBeingCreated"},
		statuses: []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout,
			http.StatusRequestTimeout, http.StatusTemporaryRedirect},
		verdict: waybill.Transient, code: codeUnavailable,
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
	roleRefused = fault{verdict: waybill.Blocked, code: "storage.role_refused",
		action: "Waybill may not act as {role} for the {store}: {trust}."}
	cancelled = fault{verdict: waybill.Transient, code: "storage.cancelled",
		action: "The step was cut off by its time limit or by a shutdown; it is repeated by itself."}
)

var (
	errNoBucket      = errors.New("no such bucket, container or folder")
	errFolder        = errors.New("folder")
	errEscapes       = errors.New("a symbolic link leads out of the folder")
	errKeyTaken      = errors.New("a folder and a file of one name")
	errNoCredentials = errors.New("no credentials")
	errBadSecret     = errors.New("not the secret that it should be")
	errExpired       = errors.New("expired")
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
	words := dialectOf(err)
	action := strings.NewReplacer("{store}", store, "{permission}", permission(err), "{region}", region(err),
		"{secret}", words.secret, "{session}", words.session, "{role}", words.role, "{trust}", words.trust).Replace(f.action)
	return &waybill.Failure{Verdict: f.verdict, Code: f.code, Action: action, Err: err}
}
