package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]storage.Location{
		"s3://acme-bucket":             {Scheme: "s3", Bucket: "acme-bucket"},
		"s3://acme-bucket/":            {Scheme: "s3", Bucket: "acme-bucket"},
		"s3://acme.bucket/raw":         {Scheme: "s3", Bucket: "acme.bucket", Prefix: "raw/"},
		"s3://acme-bucket/raw/data/":   {Scheme: "s3", Bucket: "acme-bucket", Prefix: "raw/data/"},
		"s3://acme-bucket/with%20room": {Scheme: "s3", Bucket: "acme-bucket", Prefix: "with room/"},
		"gs://acme_bucket.example":     {Scheme: "gs", Bucket: "acme_bucket.example"},
		"gs://acme-bucket/raw/data":    {Scheme: "gs", Bucket: "acme-bucket", Prefix: "raw/data/"},
		"azblob://acme-lake":           {Scheme: "azblob", Bucket: "acme-lake"},
		"azblob://acme/raw/ümläut/":    {Scheme: "azblob", Bucket: "acme", Prefix: "raw/ümläut/"},
		"file:///var/lib/waybill":      {Scheme: "file", Dir: "/var/lib/waybill"},
		"file:///var/lib/waybill/":     {Scheme: "file", Dir: "/var/lib/waybill"},
		"file:///with%20room":          {Scheme: "file", Dir: "/with room"},
	} {
		got, err := storage.ParseURL(raw)
		if err != nil || got != want {
			t.Errorf("%s gives %+v, %v; want %+v", raw, got, err, want)
		}
		if again, err := storage.ParseURL(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which is %+v, %v", raw, got, again, err)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"":                         "is missing; write s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or file:///dir",
		"acme-bucket":              `"" is not supported as a kind of store`,
		"gcs://acme":               `"gcs" is not supported as a kind of store; use s3://bucket/prefix, gs://bucket/prefix`,
		"https://acme.s3.example/": `"https" is not supported as a kind of store`,
		"gs://Acme":                `"Acme" is not a bucket's name; it has at least 3 lower-case letters, digits, dots, dashes and underscores`,
		"gs://acme/../b":           `the prefix has the segment ".."`,
		"gs://key:hush@acme/x":     "holds credentials",
		"azblob://my_container":    `"my_container" is not a container's name; it has 3 to 63 lower-case letters, digits and single dashes`,
		"azblob://a--b":            `"a--b" is not a container's name`,
		"azblob://acme.blob.core.windows.net/lake": "the storage account is a setting of its own",
		"azblob://lake?sv=2024&sig=hush":           "has something after ? or #",
		"azblob://" + strings.Repeat("ab-", 30):    "is not a container's name",
		"s3://":                                    `"" is not a bucket's name`,
		"s3:///raw":                                `"" is not a bucket's name`,
		"s3://Acme":                                `"Acme" is not a bucket's name; it has 3 to 63 lower-case letters, digits, dots and dashes`,
		"s3://ab":                                  `"ab" is not a bucket's name`,
		"s3://acme:9000/x":                         `"acme:9000" is not a bucket's name`,
		"s3://key:hush@acme/x":                     "holds credentials; they belong into access, by reference",
		"s3://acme/?secret=hush":                   "has something after ? or #",
		"s3://acme/#hush":                          "has something after ? or #",
		"s3://acme/a//b":                           "the prefix has an empty segment",
		"s3://acme//b":                             "the prefix begins with a slash",
		"s3://acme/../b":                           `the prefix has the segment ".."`,
		"s3://acme/%2e%2e/b":                       `the prefix has the segment ".."`,
		"s3://acme/a%5Cb":                          "the prefix has a backslash",
		"s3://acme/a%0Ab":                          "the prefix has a control character",
		"s3://acme/\nb":                            "is not a URL",
		"file://":                                  "does not name an absolute folder; write file:///dir, with three slashes",
		"file://var/lib":                           "does not name an absolute folder",
		"file:var/lib":                             "does not name an absolute folder",
		"file:///":                                 "is the whole file system; name a folder of it",
		"file:///a/../..":                          "is the whole file system",
		"file:///var/../etc":                       `has an empty, "." or ".." segment`,
		"file:///var//lib":                         `has an empty, "." or ".." segment`,
		"file:///var/a%00b":                        "has a control character",
		strings.Repeat("x", 90) + ":":              strings.Repeat("x", 59) + `" is not supported`,
	} {
		_, err := storage.ParseURL(raw)
		problems, ok := errors.AsType[waybill.Problems](err)
		if !ok || len(problems) != 1 || problems[0].Field != "url" || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: %v; want url: %s", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error repeats the secret: %v", raw, err)
		}
	}
}

func TestNewS3Refuses(t *testing.T) {
	_, err := storage.NewS3(t.Context(), storage.S3Options{Prefix: "a/../b", Endpoint: "acme:9000"})
	for _, want := range []string{"bucket: is missing", `prefix: has the segment ".."`, "endpoint: is not a URL of a server"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if _, err := storage.NewS3(t.Context(), storage.S3Options{Bucket: "acme"}); err == nil || !strings.Contains(err.Error(), "region: is missing") {
		t.Errorf("without a region: %v", err)
	}
}
