package secrets

import (
	"encoding"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
)

// Ref points to a secret: env:NAME, an environment variable; file:/absolute/path,
// a file such as a mounted secret; aws-sm:, gcp-sm:, azure-kv: or vault:, a
// secret in a manager. It is safe to print and to store. The zero Ref points
// nowhere.
type Ref struct{ scheme, name string }

var _ encoding.TextUnmarshaler = (*Ref)(nil)

// The mends never repeat what was written: it may be the secret itself.
var (
	errNotRef = errors.New("is not a reference to a secret; write env:NAME, file:/absolute/path, " +
		"aws-sm:NAME, aws-sm:NAME#KEY, gcp-sm:projects/PROJECT/secrets/NAME/versions/latest, " +
		"azure-kv:https://VAULT.vault.azure.net/secrets/NAME or vault:MOUNT/PATH#KEY, never the secret itself")
	errEnvName  = errors.New("does not name an environment variable; after env: write letters, digits and _, e.g. env:REDIS_PASSWORD")
	errFilePath = errors.New("does not name a file; after file: write its absolute path, e.g. file:/run/secrets/redis")
	errAWSName  = errors.New("does not name a secret of AWS Secrets Manager; after aws-sm: write its name or ARN, and #KEY for one value of a JSON secret, e.g. aws-sm:prod/acme#secretAccessKey")
	errGCPName  = errors.New("does not name a secret of Google Secret Manager; after gcp-sm: write projects/PROJECT/secrets/NAME/versions/latest or a version's number, and #KEY for one value of a JSON secret")
	errAzure    = errors.New("does not name a secret of Azure Key Vault; after azure-kv: write https://VAULT.vault.azure.net/secrets/NAME, a version behind it if it is to stay the same, and #KEY for one value of a JSON secret")
	errVault    = errors.New("does not name a secret of Vault; after vault: write the mount of a KV version 2 engine, the path and the key, e.g. vault:secret/acme/s3#secretAccessKey")
)

// oneKey is the key of one value in a secret that holds several.
const oneKey = `(#[A-Za-z0-9_.-]{1,128})`

// form is how the names of one scheme look. What a name is made of is checked
// here, so that a provider can put it into a request as it is.
type form struct {
	valid func(name string) bool
	mend  error
}

var forms = map[string]form{
	"env":  {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString, errEnvName},
	"file": {func(name string) bool { return filepath.IsAbs(name) && !strings.ContainsRune(name, 0) }, errFilePath},
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	"aws-sm": {regexp.MustCompile(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?[A-Za-z0-9/_+=.@-]{1,512}` + oneKey + `?$`).MatchString, errAWSName},
	// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
	"gcp-sm": {regexp.MustCompile(`^projects/[a-z0-9:.-]{1,63}/secrets/[A-Za-z0-9_-]{1,255}/versions/([a-z][A-Za-z0-9_-]{0,62}|[0-9]{1,18})` + oneKey + `?$`).MatchString, errGCPName},
	// Only hosts of Key Vault itself: to any other one our token would be given away.
	// https://learn.microsoft.com/en-us/azure/key-vault/general/about-keys-secrets-certificates
	"azure-kv": {regexp.MustCompile(`^https://[A-Za-z0-9-]{3,24}\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)/secrets/[A-Za-z0-9-]{1,127}(/[0-9a-f]{32})?` + oneKey + `?$`).MatchString, errAzure},
	"vault":    {validVaultName, errVault},
}

var vaultName = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_.@+=-]+)+` + oneKey + `$`)

func validVaultName(name string) bool {
	path, _, _ := strings.Cut(name, "#")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return len(name) <= 1024 && vaultName.MatchString(name)
}

// ParseRef reads a reference as a person writes it. Its errors do not repeat
// the text: who pastes a secret where a reference belongs must not find it in
// a log.
func ParseRef(text string) (Ref, error) {
	scheme, name, _ := strings.Cut(text, ":")
	form, ok := forms[scheme]
	switch {
	case !ok:
		return Ref{}, errNotRef
	case !form.valid(name):
		return Ref{}, form.mend
	}
	return Ref{scheme, name}, nil
}

// IsZero reports whether the reference points nowhere.
func (r Ref) IsZero() bool { return r == Ref{} }

// String is the reference as written.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.scheme + ":" + r.name
}

// MarshalText is the reference as written.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a reference as [ParseRef] does; empty text is the zero Ref.
func (r *Ref) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Ref{}
		return nil
	}
	*r, err = ParseRef(string(text))
	return err
}
