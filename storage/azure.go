package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/waybillhq/waybill"
)

// AzureOptions say which container of Azure Blob Storage is meant and how it
// is reached. Container, and Account or Endpoint, must be given; of SAS,
// SharedKey and ManagedIdentity, at most one.
type AzureOptions struct {
	Account   string // the storage account
	Container string
	Prefix    string // keys are relative to it; a slash at its end is added
	Endpoint  string // service URL of another cloud or an emulator; by default https://ACCOUNT.blob.core.windows.net

	// SAS returns a shared access signature: the query string that begins with
	// sv=. It is asked before each request, so that it can be renewed under way.
	SAS func(context.Context) (string, error)
	// SharedKey returns a key of the account, base64. It is asked before each request.
	SharedKey func(context.Context) (string, error)
	// ManagedIdentity is the client id of a user-assigned managed identity of
	// the machine. Without any of the three, Waybill is who the process is: its
	// environment, its workload identity, its machine's identity.
	ManagedIdentity string
	// Client makes the requests to the container. It should limit how long it
	// waits for a connection and for an answer's header; the default one does.
	Client *http.Client
	// Memory holds the parts of uploads; by default 16 shared parts for this store.
	Memory *PartMemory
	// Attempts is how often one request is tried, with under 5 s in between; default 3.
	Attempts int
}

// Azure is a container of Azure Blob Storage, or a prefix of one. It keeps no
// checksum of a whole object, so that [Object.CRC32C] is empty.
//
// The names of metadata must be C# identifiers there: a "-" is written as "_",
// and a "_" read as "-".
//
// In an account with hierarchical namespace, keys are listed folder by folder,
// which differs from the byte order where a name goes on with less than a slash.
type Azure struct {
	client   *container.Client
	opts     AzureOptions
	endpoint string // service URL, without a slash at its end
	prefix   string // empty, or with a slash at its end
	memory   *PartMemory
	signer   azureSigner

	maxBlocks int32 // of one object; fewer in tests
}

var _ Store = (*Azure)(nil)

// NewAzure returns the store. It makes no request to the container.
func NewAzure(ctx context.Context, opts AzureOptions) (*Azure, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts.Attempts = cmp.Or(opts.Attempts, 3)
	a := &Azure{opts: opts, prefix: folderPrefix(opts.Prefix), memory: opts.Memory, maxBlocks: maxBlocks,
		endpoint: strings.TrimSuffix(cmp.Or(opts.Endpoint, "https://"+opts.Account+".blob.core.windows.net"), "/")}
	if a.memory == nil {
		a.memory = NewPartMemory(16)
	}
	var err error
	if a.client, a.signer, err = a.open(); err != nil {
		return nil, a.fail(ctx, "", err)
	}
	return a, nil
}

// azureAccount: https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-name
var azureAccount = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

func (o AzureOptions) validate() error {
	p := checkBucket("container", o.Container, o.Prefix)
	switch {
	case o.Account != "" && !azureAccount.MatchString(o.Account):
		p.Addf("account", "is not a storage account's name; it has 3 to 24 lower-case letters and digits")
	case o.Account == "" && (o.Endpoint == "" || o.SharedKey != nil):
		p.Addf("account", "is missing; name the storage account that the container is in")
	}
	if o.Endpoint != "" && !isServerURL(o.Endpoint) {
		p.Addf("endpoint", "is not a URL of a server; write it as https://host")
	}
	given := 0
	for _, is := range []bool{o.SAS != nil, o.SharedKey != nil, o.ManagedIdentity != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		p.Addf("access", "holds several kinds of credentials; keep one of sas, sharedKey and managedIdentity")
	}
	return p.Err()
}

// URL is azblob://container/prefix/.
func (a *Azure) URL() string {
	u := url.URL{Scheme: "azblob", Host: a.opts.Container, Path: "/" + a.prefix}
	return u.String()
}

// Get opens an object.
func (a *Azure) Get(ctx context.Context, key string, opts GetOptions) (io.ReadCloser, Object, error) {
	if err := checkKeys(a.prefix, key); err != nil {
		return nil, Object{}, err
	}
	out, err := a.blob(key).DownloadStream(ctx, &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: opts.Offset, Count: opts.Length}, AccessConditions: conditions(false, opts.IfMatch)})
	if code, status := answer(err); code == "InvalidRange" || status == http.StatusRequestedRangeNotSatisfiable {
		object, err := a.stat(ctx, key, opts.IfMatch)
		return http.NoBody, object, a.fail(ctx, azureRead, err)
	}
	if err != nil {
		return nil, Object{}, a.fail(ctx, azureRead, err)
	}
	object := Object{Key: key, Size: wholeSize(out.ContentRange, out.ContentLength), ETag: quoted(out.ETag), Modified: value(out.LastModified),
		ContentType: value(out.ContentType), Metadata: portMetadata(out.Metadata)}
	return &body{ctx: ctx, r: out.Body, Closer: out.Body, fail: func(err error) error { return a.fail(ctx, azureRead, err) }}, object, nil
}

// wholeSize is the size of the object, of which the answer may hold a range.
func wholeSize(contentRange *string, length *int64) int64 {
	_, total, _ := strings.Cut(value(contentRange), "/")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil {
		return size
	}
	return value(length)
}

// Stat asks for the object's properties.
func (a *Azure) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKeys(a.prefix, key); err != nil {
		return Object{}, err
	}
	object, err := a.stat(ctx, key, "")
	return object, a.fail(ctx, azureRead, err)
}

func (a *Azure) stat(ctx context.Context, key, ifMatch string) (Object, error) {
	out, err := a.blob(key).GetProperties(ctx, &blob.GetPropertiesOptions{AccessConditions: conditions(false, ifMatch)})
	if err != nil {
		return Object{}, err
	}
	return Object{Key: key, Size: value(out.ContentLength), ETag: quoted(out.ETag), Modified: value(out.LastModified),
		ContentType: value(out.ContentType), Metadata: portMetadata(out.Metadata)}, nil
}

// List asks for five thousand objects at a time.
func (a *Azure) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		whole := a.prefix + prefix
		pages := a.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &whole})
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, a.fail(ctx, azureList, err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				object, ok := a.listed(item)
				if ok && !yield(object, nil) {
					return
				}
			}
		}
	}
}

// listed is not ok for folders and their markers.
func (a *Azure) listed(item *container.BlobItem) (Object, bool) {
	key, of := strings.TrimPrefix(value(item.Name), a.prefix), item.Properties
	if key == "" || strings.HasSuffix(key, "/") || of == nil || value(of.ResourceType) == "directory" {
		return Object{}, false
	}
	return Object{Key: key, Size: value(of.ContentLength), ETag: quoted(of.ETag), Modified: value(of.LastModified)}, true
}

// Copy copies on the server's side, and waits until it is done.
func (a *Azure) Copy(ctx context.Context, from, to string) (Object, error) {
	if err := cmp.Or(checkKeys(a.prefix, from), checkKeys(a.prefix, to)); err != nil {
		return Object{}, err
	}
	source, err := a.copySource(ctx, from)
	if err != nil {
		return Object{}, a.fail(ctx, azureCopy, err)
	}
	out, err := a.blob(to).StartCopyFromURL(ctx, source, nil)
	if err == nil {
		err = a.awaitCopy(ctx, to, value(out.CopyStatus))
	}
	if code, status := answer(err); code == "CannotVerifyCopySource" && status == http.StatusNotFound {
		_, err = a.stat(ctx, from, "") // which says what is missing: the object or the container
	}
	if err != nil {
		return Object{}, a.fail(ctx, azureCopy, err)
	}
	return a.Stat(ctx, to)
}

// copyPoll is the time between two questions whether a copy is done. Within
// one account it usually is at once.
const copyPoll = 500 * time.Millisecond

func (a *Azure) awaitCopy(ctx context.Context, key string, status blob.CopyStatusType) error {
	for status == blob.CopyStatusTypePending {
		timer := time.NewTimer(copyPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		out, err := a.blob(key).GetProperties(ctx, nil)
		if err != nil {
			return err
		}
		status = value(out.CopyStatus)
	}
	if status != blob.CopyStatusTypeSuccess {
		return fmt.Errorf("%w: the copy ended as %s", errCorrupted, status)
	}
	return nil
}

// Delete removes an object; not one that somebody has made snapshots of.
func (a *Azure) Delete(ctx context.Context, key string) error {
	if err := checkKeys(a.prefix, key); err != nil {
		return err
	}
	_, err := a.blob(key).Delete(ctx, nil)
	if code, _ := answer(err); code == "BlobNotFound" {
		return nil
	}
	return a.fail(ctx, azureDelete, err)
}

func (a *Azure) blob(key string) *blob.Client { return a.client.NewBlobClient(a.prefix + key) }

// conditions are a write's or a read's, or nil.
func conditions(ifAbsent bool, ifMatch string) *blob.AccessConditions {
	modified := blob.ModifiedAccessConditions{}
	switch {
	case ifAbsent:
		modified.IfNoneMatch = new(azcore.ETagAny)
	case ifMatch != "":
		modified.IfMatch = new(azcore.ETag(cmp.Or(azureETag.FindString(ifMatch), noETag)))
	default:
		return nil
	}
	return &blob.AccessConditions{ModifiedAccessConditions: &modified}
}

// Azure refuses what is not an ETag of its own as malformed, where another
// store's should simply match no object.
var azureETag = regexp.MustCompile(`^"0x[0-9A-F]+"$`)

const noETag = `"0x0"`

// quoted is an ETag as headers write it; lists leave the quotes out.
func quoted(etag *azcore.ETag) string {
	return `"` + strings.Trim(string(value(etag)), `"`) + `"`
}

// azureMetadata writes names as C# identifiers.
func azureMetadata(metadata map[string]string) (map[string]*string, error) {
	names := make(map[string]*string, len(metadata))
	for name, value := range metadata {
		if name[0] >= '0' && name[0] <= '9' {
			return nil, badMetadata("the name %.100q begins with a digit", name)
		}
		names[strings.ReplaceAll(name, "-", "_")] = &value
	}
	return names, nil
}

func portMetadata(metadata map[string]*string) map[string]string {
	names := make(map[string]string, len(metadata))
	for name, text := range metadata {
		names[strings.ReplaceAll(strings.ToLower(name), "_", "-")] = value(text)
	}
	return names
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// What Azure calls the permissions: the role, and the letters of a shared
// access signature.
// https://learn.microsoft.com/rest/api/storageservices/create-service-sas#permissions-for-a-directory-container-or-blob
const (
	azureWrite  = "to write (the role Storage Blob Data Contributor; in a shared access signature, c and w)"
	azureRead   = "to read (the role Storage Blob Data Reader or Contributor; in a shared access signature, r)"
	azureList   = "to list (the role Storage Blob Data Reader or Contributor; in a shared access signature of the container, l)"
	azureCopy   = "to read and write (the role Storage Blob Data Contributor; in a shared access signature, r, c and w)"
	azureDelete = "to delete (the role Storage Blob Data Contributor; in a shared access signature, d)"
	azureSign   = "to sign (the role Storage Blob Delegator on the storage account)"
)

func (a *Azure) dialect() dialect {
	words := dialect{secret: "shared key", session: "access token"}
	if a.opts.SAS != nil {
		words.secret, words.session = "shared access signature", "shared access signature"
	}
	return words
}

// fail classifies an error; permission is what was needed.
func (a *Azure) fail(ctx context.Context, permission string, err error) error {
	if err == nil {
		return nil
	}
	err = asked{err, a.dialect(), permission}
	store := "container " + a.opts.Container
	if _, status := answer(err); (status == http.StatusForbidden || status == http.StatusUnauthorized) && a.sasEnded(ctx, err) {
		return row("storage.expired_credentials").failure(store, fmt.Errorf("%w: %w", errExpired, err))
	}
	return failure(ctx, store, err)
}

// azureShouldRetry is the SDK's rule, but for errors of credentials: who gives
// them has tried already.
func azureShouldRetry(resp *http.Response, err error) bool {
	if err != nil {
		_, final := errors.AsType[*waybill.Failure](err)
		return !final && !errors.Is(err, errNoCredentials) && !errors.Is(err, errBadSecret)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
