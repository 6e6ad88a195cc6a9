package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Keys are an S3 access key. They never print.
type Keys struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // of temporary keys only
}

// String is the same for all keys.
func (Keys) String() string { return "[keys]" }

// GoString is the same for all keys.
func (Keys) GoString() string { return "[keys]" }

// s3Dialect is what S3's own answers do not say.
var s3Dialect = dialect{secret: "secretAccessKey", session: "temporary access key"}

// credentials are what the bucket's requests are signed with.
func (o S3Options) credentials(ctx context.Context) (aws.CredentialsProvider, error) {
	own, err := o.ownCredentials(ctx)
	if err != nil || o.RoleARN == "" {
		return own, err
	}
	options := sts.Options{Region: cmp.Or(o.Region, "us-east-1"), Credentials: own, HTTPClient: client(o.Client), Retryer: o.retryer()}
	if o.STSEndpoint != "" {
		options.BaseEndpoint = &o.STSEndpoint
	}
	assumed := stscreds.NewAssumeRoleProvider(sts.New(options), o.RoleARN, func(a *stscreds.AssumeRoleOptions) {
		a.ExternalID, a.RoleSessionName = nonEmpty(o.ExternalID), "waybill"
	})
	return aws.NewCredentialsCache(role{assumed, o}, func(c *aws.CredentialsCacheOptions) {
		c.ExpiryWindow = sessionMargin
	}), nil
}

// sessionMargin is how long before its end a session is renewed: longer than
// one request, with its attempts, takes.
const sessionMargin = 5 * time.Minute

// ownCredentials are Waybill's, or the connector's keys.
func (o S3Options) ownCredentials(ctx context.Context) (aws.CredentialsProvider, error) {
	if o.Keys == nil {
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(cmp.Or(o.Region, "us-east-1")))
		return typed{cfg.Credentials}, err
	}
	return typed{aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		keys, err := o.Keys(ctx)
		if err == nil && (keys.AccessKeyID == "" || keys.SecretAccessKey == "") {
			err = errors.New("the access key id or the secret access key is empty")
		}
		return aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey,
			SessionToken: keys.SessionToken, Source: "waybill"}, err
	})}, nil
}

// typed marks the errors of a credential source, which the SDK hands on
// without a type of their own.
type typed struct{ aws.CredentialsProvider }

func (t typed) Retrieve(ctx context.Context) (aws.Credentials, error) {
	credentials, err := t.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	return credentials, err
}

// role assumes a role. That it may not is another failure than that the role
// may not use the bucket, although AWS calls both AccessDenied.
type role struct {
	aws.CredentialsProvider
	opts S3Options
}

func (r role) Retrieve(ctx context.Context) (aws.Credentials, error) {
	credentials, err := r.CredentialsProvider.Retrieve(ctx)
	if code, _ := answer(err); code == "AccessDenied" {
		words := s3Dialect
		words.role = "the role " + r.opts.RoleARN
		words.trust = "let the role's trust policy name Waybill's own identity and the connector's external id"
		err = roleRefused.failure("bucket "+r.opts.Bucket, asked{error: err, of: words})
	}
	return credentials, err
}
