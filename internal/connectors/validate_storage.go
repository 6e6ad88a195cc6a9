package connectors

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
)

// Limits of maxFileBytes: smaller files are more of them than stores and query
// engines like, and no store takes larger objects.
const (
	minFileBytes config.Bytes = 64 << 10
	maxFileBytes config.Bytes = 5 << 40 // https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
)

func (r Rules) storage(s Storage) (p waybill.Problems) {
	p.Add("", r.location(s))
	if s.Path != "" && r.CheckPath != nil {
		addErr(&p, "path", r.CheckPath(s.Path))
	}
	if len(s.Formats) == 0 {
		p.Addf("formats", "is empty; list what to deliver, of %s", strings.Join(r.Formats, ", "))
	}
	for i, f := range s.Formats {
		field := fmt.Sprintf("formats[%d]", i)
		if !slices.Contains(r.Formats, f) {
			p.Addf(field, "%s is not a format; use %s", waybill.Quote(f), strings.Join(r.Formats, ", "))
		} else if slices.Index(s.Formats, f) < i {
			p.Addf(field, "%s is listed twice", f)
		}
	}
	p.Add("", s.files())
	return p
}

// files checks how the files of the formats are made.
func (s Storage) files() (p waybill.Problems) {
	for _, c := range []struct{ format, value string }{{"csv", s.Compression.CSV}, {"jsonl", s.Compression.JSONL}} {
		switch field := "compression." + c.format; {
		case c.value == "":
		case !slices.Contains([]string{"none", "gzip", "zstd"}, c.value):
			p.Addf(field, "%s is not a compression; use gzip, zstd or none", waybill.Quote(c.value))
		case !slices.Contains(s.Formats, c.format):
			p.Addf(field, "is given, but %[1]s is not delivered; add %[1]s to formats, or leave it out", c.format)
		}
	}
	if s.MaxFileBytes != 0 && (s.MaxFileBytes < minFileBytes || s.MaxFileBytes > maxFileBytes) {
		p.Addf("maxFileBytes", "%v is out of range; use %v to %v, or leave it out for one file a format", s.MaxFileBytes, minFileBytes, maxFileBytes)
	}
	if s.CSVFormulaGuard && !slices.Contains(s.Formats, "csv") {
		p.Addf("csvFormulaGuard", "is given, but csv is not delivered; add csv to formats, or leave it out")
	}
	return p
}

func (r Rules) location(s Storage) (p waybill.Problems) {
	if s.URL == "" {
		p.Addf("url", "is missing; give the bucket, e.g. s3://bucket/prefix, gs://bucket/prefix or azblob://container/prefix")
		return p
	}
	if err := r.checkURL(s.URL); err != nil {
		addErr(&p, "url", err)
		return p
	}
	scheme, _, _ := strings.Cut(s.URL, "://")
	p.Add("", s.onlyOf(scheme))
	switch scheme {
	case "s3":
		p.Add("", s.s3())
	case "azblob":
		p.Add("", s.azure())
	}
	if !validEndpoint(s.Endpoint, scheme) {
		p.Addf("endpoint", "is not an endpoint; write https://host or https://host:port, without credentials%s or query", map[bool]string{true: "", false: ", path"}[scheme == "gs" || scheme == "azblob"])
	}
	p.Add("access", s.Access.validate(scheme))
	return p
}

// onlyOf names the settings that stand there but belong to other kinds of store.
func (s Storage) onlyOf(scheme string) (p waybill.Problems) {
	for _, c := range []struct {
		field, schemes string
		given          bool
	}{
		{"region", "s3", s.Region != ""},
		{"pathStyle", "s3", s.PathStyle},
		{"kmsKeyId", "s3", s.KMSKeyID != ""},
		{"endpoint", "s3 gs azblob", s.Endpoint != ""},
		{"access.account", "azblob", s.Access.Account != ""},
	} {
		if schemes := strings.Fields(c.schemes); c.given && !slices.Contains(schemes, scheme) {
			p.Addf(c.field, "belongs to %s:// only; leave it out for %s://", strings.Join(schemes, "://, "), scheme)
		}
	}
	return p
}

var (
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
	roleARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
	keyARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:kms:([a-z0-9-]+):[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]{1,256}$`)
	keyID  = regexp.MustCompile(`^(alias/)?[A-Za-z0-9/_-]{1,256}$`)
)

func (s Storage) s3() (p waybill.Problems) {
	switch {
	case s.Region != "":
	case s.Endpoint == "":
		p.Addf("region", "is missing; give the bucket's region, e.g. eu-central-1")
	case s.Access.RoleARN != "":
		p.Addf("region", "is missing; a role is assumed in a region of AWS: give the bucket's, e.g. eu-central-1")
	}
	if s.KMSKeyID == "" {
		return p
	}
	arn := keyARN.FindStringSubmatch(s.KMSKeyID)
	switch {
	case arn != nil && s.Region != "" && arn[2] != s.Region:
		p.Addf("kmsKeyId", "is a key in %s, and the bucket is in %s; use a key of the bucket's region", arn[2], s.Region)
	case arn == nil && !keyID.MatchString(s.KMSKeyID):
		p.Addf("kmsKeyId", "%s is not a key of KMS; write its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID", waybill.Quote(s.KMSKeyID))
	case arn == nil && s.Endpoint == "" && s.Access.Kind() == AccessAmbient:
		// An id or an alias is looked for in the account of who asks: ours.
		p.Addf("kmsKeyId", "is not a full ARN, and without a role or keys of the customer's AWS would look for it in our account; write arn:aws:kms:REGION:ACCOUNT:key/ID")
	}
	return p
}

// accountName: https://learn.microsoft.com/en-us/azure/storage/common/storage-account-overview#storage-account-name
var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

func (s Storage) azure() (p waybill.Problems) {
	switch a := s.Access; {
	case a.Account == "":
		p.Addf("access.account", "is missing; give the name of the storage account that the container is in")
	case !accountName.MatchString(a.Account):
		p.Addf("access.account", "%s is not a storage account's name; it has 3 to 24 lower-case letters and digits", waybill.Quote(a.Account))
	}
	return p
}

// serviceAccount: https://cloud.google.com/iam/docs/service-accounts-create
var serviceAccount = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}@[a-z0-9.-]+\.gserviceaccount\.com$`)

func (a Access) validate(scheme string) (p waybill.Problems) {
	var given []credential
	for _, c := range credentials {
		if !c.given(a) {
			continue
		}
		given = append(given, c)
		if c.scheme != scheme {
			p.Addf(c.field, "belongs to %s:// only; for %s:// %s", c.scheme, scheme, accessOf(scheme))
		}
	}
	if len(given) > 1 {
		p.Addf("", "holds %s; give one kind of credential", fieldNames(given))
	}
	if len(given) == 0 && scheme == "azblob" {
		p.Addf("", "names no credential; %s", accessOf(scheme))
	}
	switch id, key := a.AccessKeyID, a.SecretAccessKey; {
	case scheme != "s3":
	case id.IsZero() && !key.IsZero():
		p.Addf("accessKeyId", "is missing beside secretAccessKey; give both, or neither for a bucket policy that names us")
	case key.IsZero() && !id.IsZero():
		p.Addf("secretAccessKey", "is missing beside accessKeyId; give both, or neither for a bucket policy that names us")
	}
	if a.RoleARN != "" && !roleARN.MatchString(a.RoleARN) {
		p.Addf("roleArn", "%s is not a role's ARN; write arn:aws:iam::123456789012:role/NAME", waybill.Quote(a.RoleARN))
	}
	if a.Impersonate != "" && !serviceAccount.MatchString(a.Impersonate) {
		p.Addf("impersonate", "%s is not a service account's e-mail; write NAME@PROJECT.iam.gserviceaccount.com", waybill.Quote(a.Impersonate))
	}
	return p
}

func fieldNames(list []credential) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.field
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// accessOf says how a store is accessed.
func accessOf(scheme string) string {
	switch scheme {
	case "s3":
		return "give roleArn, accessKeyId with secretAccessKey, or nothing for a bucket policy that names us"
	case "gs":
		return "give serviceAccount, impersonate, or nothing where our own service account may write there"
	case "azblob":
		return "give sas, accountKey or managedIdentity"
	}
	return "leave access out"
}

// validEndpoint: S3 names no path there; the emulators of the others do.
func validEndpoint(text, scheme string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		(scheme == "gs" || scheme == "azblob" || strings.Trim(u.Path, "/") == "") && (u.Scheme == "https" || u.Scheme == "http")
}
