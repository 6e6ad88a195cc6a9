package secrets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// awsManager is AWS Secrets Manager, with the process's own identity:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
// It is asked through the SDK, which signs requests and finds the identity;
// the program holds the SDK for S3 anyway.
type awsManager struct {
	opts     Options
	endpoint string // of tests

	mu     sync.Mutex
	client *secretsmanager.Client
}

var _ manager = (*awsManager)(nil)

func newAWS(opts Options) *awsManager { return &awsManager{opts: opts} }

func (m *awsManager) fetch(ctx context.Context, secret string) (string, error) {
	client, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	region := client.Options().Region
	if strings.HasPrefix(secret, "arn:") { // arn:aws:secretsmanager:region:account:secret:name
		region = strings.Split(secret, ":")[3]
	}
	if region == "" {
		return "", missing("no region is set; give AWS_REGION, or write the secret's ARN")
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &secret},
		func(o *secretsmanager.Options) { o.Region = region })
	if err != nil {
		return "", awsError(ctx, err)
	}
	if out.SecretString != nil {
		return *out.SecretString, nil
	}
	return string(out.SecretBinary), nil
}

func (m *awsManager) connect(ctx context.Context) (*secretsmanager.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		return m.client, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: find our identity at AWS: %w", errDenied, err)
	}
	m.client = secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		o.HTTPClient = m.opts.Client
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, time.Second })
		if m.endpoint != "" {
			o.BaseEndpoint = aws.String(m.endpoint)
		}
	})
	return m.client, nil
}

// awsCodes: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
// and the errors of GetSecretValue.
var awsCodes = map[string]error{
	"ResourceNotFoundException":   errMissing,
	"InvalidRequestException":     errMissing, // it is being deleted
	"InvalidParameterException":   errMissing,
	"ValidationException":         errMissing,
	"AccessDeniedException":       errDenied,
	"DecryptionFailure":           errDenied, // its key is not for us
	"UnrecognizedClientException": errDenied,
	"InvalidClientTokenId":        errDenied,
	"InvalidSignatureException":   errDenied,
	"IncompleteSignature":         errDenied,
	"ExpiredTokenException":       errDenied,
	"MissingAuthenticationToken":  errDenied,
	"OptInRequired":               errDenied,
	"ThrottlingException":         errThrottled,
	"Throttling":                  errThrottled,
	"RequestLimitExceeded":        errThrottled,
	"TooManyRequestsException":    errThrottled,
	"InternalServiceError":        errUnreachable,
	"InternalFailure":             errUnreachable,
	"ServiceUnavailable":          errUnreachable,
	"RequestTimeoutException":     errUnreachable,
}

// awsError classifies by the error's code first, then by what happened to the
// request: one that was never sent had nothing to be signed with.
func awsError(ctx context.Context, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		status := 0
		if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
			status = resp.HTTPStatusCode()
		}
		means := awsCodes[api.ErrorCode()]
		if means == nil && status >= 500 {
			means = errUnreachable
		}
		return fmt.Errorf("%w: %s", cmp.Or(means, errMissing), cmp.Or(api.ErrorCode(), "an answer without a code"))
	}
	if _, sent := errors.AsType[*smithyhttp.RequestSendError](err); sent || ctx.Err() != nil {
		return transport(ctx, err)
	}
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && resp.HTTPStatusCode() >= 500 {
		return fmt.Errorf("%w: HTTP %d", errUnreachable, resp.HTTPStatusCode())
	}
	return fmt.Errorf("%w: %w", errDenied, err)
}
