// Package policies writes what a customer must allow, so that a storage
// connector can deliver: policies and commands of the store's vendor, for the
// customer to look at and apply. What only they know stands in them as YOUR….
package policies

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/waybillhq/waybill/internal/connectors"
)

// Identity is who Waybill is. What is empty is shown as a place to fill in.
type Identity struct {
	AWS    string // ARN of our role or user
	Google string // e-mail of the service account that writes: ours, or the one of a connector's key
	Azure  string // object id or client id of our identity
}

// Statement is one thing for the customer to apply.
type Statement struct {
	Title string // where it goes, one sentence
	Text  string // JSON or commands, with a line's end
}

// place is what of a connector the statements are about.
type place struct {
	connectors.Connector
	bucket string
	prefix string // of keys: empty, or with a slash at its end
	probe  string // key of the probe, prefix included
	who    Identity
}

// ProbeName is the last part of the probe's key.
const ProbeName = "_waybill_probe"

var constant = regexp.MustCompile(`^[^{}]*/`)

// ProbeKey is where a check writes, below the connector's url: beside what is
// delivered, in the folders of the path template that never differ.
func ProbeKey(path string) string {
	folder, _, _ := strings.Cut(path, "{")
	return constant.FindString(folder) + ProbeName
}

// For lists what the customer must apply for the connector; nothing for a
// folder. The path is the connector's template, or the default one.
func For(c connectors.Connector, path string, who Identity) []Statement {
	u, err := url.Parse(c.Storage.URL)
	if err != nil {
		return nil
	}
	p := place{Connector: c, bucket: u.Host, who: who}
	if p.prefix = strings.Trim(u.Path, "/"); p.prefix != "" {
		p.prefix += "/"
	}
	p.probe = p.prefix + ProbeKey(path)
	switch u.Scheme {
	case "s3":
		return p.s3()
	case "gs":
		return p.gcs()
	case "azblob":
		return p.azure()
	}
	return nil
}

// Missing names the permissions that a step of a check needs, for the
// connector's store: write, absent, metadata, read, condition or delete.
func Missing(c connectors.Connector, step string) string {
	scheme, _, _ := strings.Cut(c.Storage.URL, "://")
	names := permissions[scheme][step]
	if c.Storage.KMSKeyID != "" {
		names = strings.Join(append(strings.Fields(names), strings.Fields(permissions["kms"][step])...), " ")
	}
	return strings.Join(strings.Fields(names), ", ")
}

// permissions are what the steps need.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
// https://cloud.google.com/storage/docs/access-control/iam-permissions
// https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas#permissions-for-a-directory-container-or-blob
var permissions = map[string]map[string]string{
	// S3 says that a missing object is forbidden to who may not list.
	"s3": {"write": "s3:PutObject", "absent": "s3:GetObject s3:ListBucket", "metadata": "s3:GetObject", "read": "s3:GetObject",
		"condition": "s3:PutObject", "delete": "s3:DeleteObject"},
	"kms": {"write": "kms:GenerateDataKey kms:Decrypt", "read": "kms:Decrypt", "metadata": "kms:Decrypt"},
	// Cloud Storage replaces an object only for who may delete it.
	"gs": {"write": "storage.objects.create storage.objects.delete", "absent": "storage.objects.get", "metadata": "storage.objects.get", "read": "storage.objects.get",
		"condition": "storage.objects.create", "delete": "storage.objects.delete"},
	"azblob": {"write": "create(c) write(w)", "absent": "read(r)", "metadata": "read(r)", "read": "read(r)", "condition": "write(w)", "delete": "delete(d)"},
	"file":   {"write": "write", "absent": "read", "metadata": "read", "read": "read", "condition": "write", "delete": "write"},
}

// text writes JSON as a person would.
func text(v document) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) //nolint:errchkjson,musttag // of texts, lists and maps of these, which always encode, under IAM's own names
	return b.String()
}

// shell writes one word of a POSIX shell.
func shell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

func command(words ...string) string { return strings.Join(words, " \\\n  ") + "\n" }

// gcs: https://cloud.google.com/storage/docs/access-control/iam-roles and
// https://cloud.google.com/sdk/gcloud/reference/storage/buckets/add-iam-policy-binding
func (p place) gcs() (list []Statement) {
	writer := cmp.Or(p.who.Google, "YOUR_PROVIDERS_SERVICE_ACCOUNT")
	if as := p.Storage.Access.Impersonate; as != "" {
		// https://cloud.google.com/iam/docs/service-account-impersonation
		list = append(list, Statement{"Let Waybill's service account act as " + as + ":",
			command("gcloud iam service-accounts add-iam-policy-binding "+shell(as), "--member="+shell("serviceAccount:"+writer), "--role=roles/iam.serviceAccountTokenCreator")})
		writer = as
	}
	bind := func(role string) string {
		return command("gcloud storage buckets add-iam-policy-binding "+shell("gs://"+p.bucket),
			"--member="+shell("serviceAccount:"+writer), "--role="+role, "--condition="+p.condition())
	}
	note := ""
	if p.prefix != "" {
		note = ", below " + p.prefix + " (a condition needs uniform bucket-level access)"
	}
	return append(list,
		Statement{"Let the service account write, replace and read objects of the bucket" + note + ":", bind("roles/storage.objectUser")},
		Statement{"Or, narrower, without the right to replace and delete: a run that is replaced with the same finish time is Blocked then, and a check leaves its probe:",
			bind("roles/storage.objectCreator") + bind("roles/storage.objectViewer")})
}

// condition: https://cloud.google.com/iam/docs/conditions-resource-attributes#resource-name
func (p place) condition() string {
	if p.prefix == "" {
		return "None"
	}
	name := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace("projects/_/buckets/" + p.bucket + "/objects/" + p.prefix)
	return shell(fmt.Sprintf(`^~^expression=resource.name.startsWith("%s")~title=waybill-%s`, name, p.ID))
}

// azure: https://learn.microsoft.com/en-us/azure/storage/blobs/assign-azure-role-data-access
func (p place) azure() []Statement {
	a := p.Storage.Access
	switch a.Kind() {
	case connectors.AccessSAS:
		// https://learn.microsoft.com/en-us/cli/azure/storage/container#az-storage-container-generate-sas
		return []Statement{{"Make a shared access signature of the container, and keep it where the connector's access.sas points:",
			command("az storage container generate-sas", "--account-name "+a.Account, "--name "+shell(p.bucket), "--permissions rcwd",
				"--expiry YOUR_EXPIRY_SUCH_AS_2026-12-31T00:00Z", "--https-only", "--output tsv")}}
	case connectors.AccessAccountKey:
		// https://learn.microsoft.com/en-us/azure/storage/common/storage-account-keys-manage
		return []Statement{{"Keep a key of the account where the connector's access.accountKey points; the account must allow shared keys:",
			command("az storage account update", "--name "+a.Account, "--resource-group YOUR_RESOURCE_GROUP", "--allow-shared-key-access true") +
				command("az storage account keys list", "--account-name "+a.Account, "--resource-group YOUR_RESOURCE_GROUP", "--query '[0].value'", "--output tsv")}}
	}
	scope := "/subscriptions/YOUR_SUBSCRIPTION_ID/resourceGroups/YOUR_RESOURCE_GROUP/providers/Microsoft.Storage/storageAccounts/" +
		a.Account + "/blobServices/default/containers/" + p.bucket
	return []Statement{{"Let Waybill's identity write, replace and read blobs of the container:",
		command("az role assignment create", "--assignee "+shell(cmp.Or(p.who.Azure, a.ManagedIdentity.ClientID, "YOUR_PROVIDERS_CLIENT_ID")),
			`--role "Storage Blob Data Contributor"`, "--scope "+shell(scope))}}
}
