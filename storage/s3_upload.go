package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Why not the SDK's transfer manager: it takes an object's checksum only
// before it reads the object, it lets the other parts run on when one failed,
// and if the abort fails too, the cause is lost.

// maxParts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const maxParts = 10_000

// Put sends what fits into one part in one request, and anything larger as a
// multipart upload, at most 4 parts of 8 MiB at a time, up to 78 GiB. Every
// request carries a CRC32C that the store checks, and the whole object's
// before it becomes visible. A conditional write is sent once: were its answer
// lost, a second one would be refused by the first.
func (s *S3) Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (Object, error) {
	if err := cmp.Or(s.check(key), checkOptions(opts)); err != nil {
		return Object{}, err
	}
	uploading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u := &upload{s: s, key: key, opts: opts, parts: newParts(uploading, s.memory, r)}
	defer u.parts.buffers.release()
	err := u.run(uploading, cancel)
	if err == nil && u.object.CRC32C != "" && u.object.CRC32C != hexCRC32C(u.parts.sum) {
		err = fmt.Errorf("%w: sent %s, the store has %s", errCorrupted, hexCRC32C(u.parts.sum), u.object.CRC32C)
	}
	err = s.fail(ctx, err)
	if opts.IfMatch != "" && errors.Is(err, ErrNotExist) { // there is nothing that could match
		err = s.fail(ctx, fmt.Errorf("%w: %s does not exist", ErrPrecondition, key))
	}
	if err != nil {
		return Object{}, err
	}
	return u.object, nil
}

// upload is one object on its way.
type upload struct {
	s      *S3
	key    string
	opts   PutOptions
	parts  *parts
	object Object // once it is complete

	id        *string // of the multipart upload
	composite bool    // the store keeps no checksum of the whole, only one of the parts' checksums
	mu        sync.Mutex
	sent      []types.CompletedPart
}

func (u *upload) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	first, err := u.parts.read(ctx)
	if err != nil {
		return err
	}
	if first.last {
		defer u.parts.buffers.done(first.memory)
		return u.put(ctx, first)
	}
	if err := u.create(ctx); err != nil {
		u.parts.buffers.done(first.memory)
		return err
	}
	if err := u.parts.sendAll(ctx, cancel, first, u.s.maxParts, u.send); err != nil {
		return u.abort(ctx, err)
	}
	if err := u.complete(ctx); err != nil {
		return u.abort(ctx, err)
	}
	return nil
}

// put sends the whole object in one request.
func (u *upload) put(ctx context.Context, whole part) error {
	out, err := u.s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &u.s.bucket, Key: u.s.key(u.key), Body: bytes.NewReader(whole.bytes()), ContentLength: aws.Int64(u.parts.size),
		ContentType: nonEmpty(u.opts.ContentType), Metadata: u.opts.Metadata, ChecksumCRC32C: base64CRC32C(whole.crc32c),
		IfMatch: nonEmpty(u.opts.IfMatch), IfNoneMatch: u.ifNoneMatch(),
		SSEKMSKeyId: nonEmpty(u.s.kmsKey), ServerSideEncryption: u.s.encryption(),
	}, u.attempts, u.s.unsigned)
	if err != nil {
		return err
	}
	u.finish(out.ETag, out.ChecksumCRC32C, out.ChecksumType)
	return nil
}

// create begins a multipart upload, of which the store shall check the whole
// object's CRC32C at its end. A store that cannot still checks each part.
func (u *upload) create(ctx context.Context) error {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &u.s.bucket, Key: u.s.key(u.key), ContentType: nonEmpty(u.opts.ContentType), Metadata: u.opts.Metadata,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject,
		SSEKMSKeyId: nonEmpty(u.s.kmsKey), ServerSideEncryption: u.s.encryption(),
	}
	out, err := u.s.client.CreateMultipartUpload(ctx, in)
	if code, _ := answer(err); slices.Contains([]string{"InvalidRequest", "InvalidArgument", "NotImplemented"}, code) {
		in.ChecksumType, u.composite = "", true
		out, err = u.s.client.CreateMultipartUpload(ctx, in)
	}
	if err != nil {
		return err
	}
	u.id = out.UploadId
	return nil
}

func (u *upload) send(ctx context.Context, number int32, p part) error {
	sum := base64CRC32C(p.crc32c)
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.bucket, Key: u.s.key(u.key), UploadId: u.id, PartNumber: &number,
		Body: bytes.NewReader(p.bytes()), ContentLength: aws.Int64(int64(p.n)), ChecksumCRC32C: sum,
	}, u.s.unsigned)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent = append(u.sent, types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: sum})
	return nil
}

// complete makes the object visible, if the condition holds.
func (u *upload) complete(ctx context.Context) error {
	slices.SortFunc(u.sent, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.bucket, Key: u.s.key(u.key), UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.sent},
		MpuObjectSize: &u.parts.size, IfMatch: nonEmpty(u.opts.IfMatch), IfNoneMatch: u.ifNoneMatch(),
	}
	if !u.composite {
		in.ChecksumType, in.ChecksumCRC32C = types.ChecksumTypeFullObject, base64CRC32C(u.parts.sum)
	}
	out, err := u.s.client.CompleteMultipartUpload(ctx, in, u.attempts)
	if err != nil {
		return err
	}
	u.finish(out.ETag, out.ChecksumCRC32C, out.ChecksumType)
	return nil
}

// abort removes what was sent, also when ctx has ended, and returns err. If
// that fails, the bucket's lifecycle rule for incomplete uploads has to.
func (u *upload) abort(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, failed := u.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.s.bucket, Key: u.s.key(u.key), UploadId: u.id})
	if failed != nil {
		return fmt.Errorf("%w (its parts could not be removed: %s)", err, failed.Error())
	}
	return err
}

func (u *upload) finish(etag, sum *string, kind types.ChecksumType) {
	u.object = Object{Key: u.key, Size: u.parts.size, ETag: aws.ToString(etag),
		ContentType: u.opts.ContentType, Metadata: u.opts.Metadata, CRC32C: fullCRC32C(sum, kind)}
}

func (u *upload) ifNoneMatch() *string {
	if u.opts.IfAbsent {
		return aws.String("*")
	}
	return nil
}

// attempts lets a conditional request be sent once only.
func (u *upload) attempts(o *s3.Options) {
	if u.opts.IfAbsent || u.opts.IfMatch != "" {
		o.Retryer = aws.NopRetryer{}
	}
}

// unsigned leaves the content's SHA-256 out of a request's signature where TLS
// guards it on its way: the signature covers its CRC32C, and SHA-256 costs more
// than all else that is done to a part.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func (*S3) unsigned(o *s3.Options) {
	if o.BaseEndpoint == nil || strings.HasPrefix(*o.BaseEndpoint, "https://") {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
}

func base64CRC32C(sum uint32) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)))
}

// fullCRC32C is the checksum of the whole object as 8 hex digits, or empty if
// the store gave none, or one over the parts' checksums:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
func fullCRC32C(sum *string, kind types.ChecksumType) string {
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(sum)) // a composite one ends in "-" and a number
	if err != nil || len(raw) != 4 || kind == types.ChecksumTypeComposite {
		return ""
	}
	return hexCRC32C(binary.BigEndian.Uint32(raw))
}
