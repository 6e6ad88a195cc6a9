package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // Azure's transfer checksum, no proof of anything
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/waybillhq/waybill"
)

// maxBlocks: https://learn.microsoft.com/azure/storage/blobs/scalability-targets
const maxBlocks = 50_000

// Put sends what fits into one part in one request, and anything larger as
// blocks, at most 4 of 8 MiB at a time, up to 390 GiB; the list of blocks that
// is committed at the end makes the object visible. Every request carries an
// MD5 that the store checks. A conditional write is sent once: were its answer
// lost, a second one would be refused by the first. Azure forgets the blocks of
// an upload that is given up after a week.
func (a *Azure) Put(ctx context.Context, key string, r io.Reader, opts PutOptions) (Object, error) {
	if err := cmp.Or(checkKeys(a.prefix, key), checkOptions(opts)); err != nil {
		return Object{}, err
	}
	metadata, err := azureMetadata(opts.Metadata)
	if err != nil {
		return Object{}, err
	}
	uploading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	u := &azureUpload{a: a, key: key, opts: opts, metadata: metadata, name: rand.Text(), parts: newParts(uploading, a.memory, r),
		client: a.client.NewBlockBlobClient(a.prefix + key)}
	defer u.parts.buffers.release()
	err = a.fail(ctx, azureWrite, u.run(uploading, cancel))
	if opts.IfMatch != "" && errors.Is(err, ErrNotExist) { // there is nothing that could match
		err = a.fail(ctx, azureWrite, fmt.Errorf("%w: %s does not exist", ErrPrecondition, key))
	}
	if f, ok := errors.AsType[*waybill.Failure](err); ok && f.Code == "storage.contended" {
		err = u.contended(ctx, err)
	}
	if err != nil {
		return Object{}, err
	}
	return u.object, nil
}

// azureUpload is one object on its way.
type azureUpload struct {
	a        *Azure
	key      string
	opts     PutOptions
	metadata map[string]*string
	name     string // of this upload: two that meet on one key must not mix their blocks
	parts    *parts
	client   *blockblob.Client
	object   Object // once it is complete
}

func (u *azureUpload) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	first, err := u.parts.read(ctx)
	if err != nil {
		return err
	}
	if first.last {
		defer u.parts.buffers.done(first.memory)
		err := u.put(ctx, first.bytes())
		if code, _ := answer(err); code == "BlobAlreadyExists" && first.n > 0 && !u.exists(ctx) {
			return u.putAsBlock(ctx, first)
		}
		return err
	}
	if err := u.parts.sendAll(ctx, cancel, first, u.a.maxBlocks, u.stage); err != nil {
		return err
	}
	return u.commit(ctx)
}

// put sends the whole object in one request.
func (u *azureUpload) put(ctx context.Context, content []byte) error {
	out, err := u.client.Upload(u.once(ctx), reading(content), &blockblob.UploadOptions{
		Metadata: u.metadata, HTTPHeaders: u.headers(), TransactionalValidation: checksum(content),
		AccessConditions: conditions(u.opts.IfAbsent, u.opts.IfMatch),
	})
	if err != nil {
		return err
	}
	u.finish(out.ETag, out.LastModified)
	return nil
}

// putAsBlock is for where an upload that was given up has left blocks behind:
// some take them for an object that is there already, until others are committed.
func (u *azureUpload) putAsBlock(ctx context.Context, whole part) error {
	if err := u.stage(ctx, 1, whole); err != nil {
		return err
	}
	return u.commit(ctx)
}

// exists is true also where that cannot be found out.
func (u *azureUpload) exists(ctx context.Context) bool {
	_, err := u.a.stat(ctx, u.key, "")
	code, _ := answer(err)
	return code != "BlobNotFound"
}

func (u *azureUpload) stage(ctx context.Context, number int32, p part) error {
	_, err := u.client.StageBlock(ctx, u.block(number), reading(p.bytes()),
		&blockblob.StageBlockOptions{TransactionalValidation: checksum(p.bytes())})
	return err
}

// commit makes the object visible, if the condition holds.
func (u *azureUpload) commit(ctx context.Context) error {
	blocks := make([]string, (u.parts.size+partSize-1)/partSize)
	for i := range blocks {
		blocks[i] = u.block(int32(i) + 1)
	}
	out, err := u.client.CommitBlockList(u.once(ctx), blocks, &blockblob.CommitBlockListOptions{
		Metadata: u.metadata, HTTPHeaders: u.headers(), AccessConditions: conditions(u.opts.IfAbsent, u.opts.IfMatch),
	})
	if err != nil {
		return err
	}
	u.finish(out.ETag, out.LastModified)
	return nil
}

// contended finds out whether another writer's commit, which swept away the
// blocks of this upload, has also decided its condition.
func (u *azureUpload) contended(ctx context.Context, err error) error {
	now, statErr := u.a.Stat(ctx, u.key)
	if statErr == nil && (u.opts.IfAbsent || (u.opts.IfMatch != "" && now.ETag != u.opts.IfMatch)) {
		return u.a.fail(ctx, azureWrite, fmt.Errorf("%w: another writer was first", ErrPrecondition))
	}
	return err
}

// block is the id of a block; all of one object have the same length.
func (u *azureUpload) block(number int32) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%05d", u.name, number))
}

func (u *azureUpload) headers() *blob.HTTPHeaders {
	return &blob.HTTPHeaders{BlobContentType: nonEmpty(u.opts.ContentType)}
}

// once lets a conditional request be sent once only.
func (u *azureUpload) once(ctx context.Context) context.Context {
	if u.opts.IfAbsent || u.opts.IfMatch != "" {
		return policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
	}
	return ctx
}

func (u *azureUpload) finish(etag *azcore.ETag, modified *time.Time) {
	u.object = Object{Key: u.key, Size: u.parts.size, ETag: quoted(etag), Modified: value(modified),
		ContentType: u.opts.ContentType, Metadata: u.opts.Metadata}
}

func reading(content []byte) io.ReadSeekCloser { return streaming.NopCloser(bytes.NewReader(content)) }

// checksum is one that Azure compares with what arrives.
func checksum(content []byte) blob.TransferValidationType {
	sum := md5.Sum(content) //nolint:gosec // see its import
	return blob.TransferValidationTypeMD5(sum[:])
}
