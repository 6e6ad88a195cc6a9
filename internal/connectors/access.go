package connectors

import (
	"encoding"
	"errors"
	"regexp"
	"slices"

	"github.com/waybillhq/waybill/internal/secrets"
)

// Access is how we prove who we are: one kind of credential, or none. The zero
// Access uses our process's own identity, which the customer's bucket policy
// or role assignment names.
type Access struct {
	AccessKeyID     secrets.Ref     `json:"accessKeyId,omitzero" yaml:"accessKeyId"`         // S3, with SecretAccessKey
	SecretAccessKey secrets.Ref     `json:"secretAccessKey,omitzero" yaml:"secretAccessKey"` //
	RoleARN         string          `json:"roleArn,omitempty" yaml:"roleArn"`                // S3: role of the customer's that we assume with the connector's ExternalID
	ServiceAccount  secrets.Ref     `json:"serviceAccount,omitzero" yaml:"serviceAccount"`   // GCS: a service account's key file, JSON
	Impersonate     string          `json:"impersonate,omitempty" yaml:"impersonate"`        // GCS: e-mail of a service account that we may act as
	Account         string          `json:"account,omitempty" yaml:"account"`                // Azure: the storage account; always given there
	SAS             secrets.Ref     `json:"sas,omitzero" yaml:"sas"`                         // Azure: a container's shared access signature
	AccountKey      secrets.Ref     `json:"accountKey,omitzero" yaml:"accountKey"`           // Azure: a key of the account
	ManagedIdentity ManagedIdentity `json:"managedIdentity,omitzero" yaml:"managedIdentity"` // Azure: the identity of our process
}

// The kinds of credential that an [Access] can hold.
const (
	AccessAmbient         = "ambient"         // none: our process's own identity
	AccessKeys            = "keys"            // accessKeyId and secretAccessKey
	AccessRole            = "role"            // roleArn
	AccessServiceAccount  = "serviceAccount"  //
	AccessImpersonate     = "impersonate"     //
	AccessSAS             = "sas"             //
	AccessAccountKey      = "accountKey"      //
	AccessManagedIdentity = "managedIdentity" //
)

// credential is one kind: the field that gives it, and the scheme it belongs to.
type credential struct {
	kind, field, scheme string
	given               func(Access) bool
}

var credentials = []credential{
	{AccessKeys, "accessKeyId", "s3", func(a Access) bool { return !a.AccessKeyID.IsZero() || !a.SecretAccessKey.IsZero() }},
	{AccessRole, "roleArn", "s3", func(a Access) bool { return a.RoleARN != "" }},
	{AccessServiceAccount, "serviceAccount", "gs", func(a Access) bool { return !a.ServiceAccount.IsZero() }},
	{AccessImpersonate, "impersonate", "gs", func(a Access) bool { return a.Impersonate != "" }},
	{AccessSAS, "sas", "azblob", func(a Access) bool { return !a.SAS.IsZero() }},
	{AccessAccountKey, "accountKey", "azblob", func(a Access) bool { return !a.AccountKey.IsZero() }},
	{AccessManagedIdentity, "managedIdentity", "azblob", func(a Access) bool { return a.ManagedIdentity.On }},
}

// Kind is the kind of credential that a valid Access holds.
func (a Access) Kind() string {
	for _, c := range credentials {
		if c.given(a) {
			return c.kind
		}
	}
	return AccessAmbient
}

// Refs lists the references to secrets that the access holds.
func (a Access) Refs() []secrets.Ref {
	refs := []secrets.Ref{a.AccessKeyID, a.SecretAccessKey, a.ServiceAccount, a.SAS, a.AccountKey}
	return slices.DeleteFunc(refs, secrets.Ref.IsZero)
}

// ManagedIdentity is an identity that Azure gives our process: the one there
// is (written true), or of several the one with this client id.
type ManagedIdentity struct {
	On       bool
	ClientID string // empty: the only one
}

var (
	_ encoding.TextUnmarshaler = (*ManagedIdentity)(nil)
	_ encoding.TextMarshaler   = ManagedIdentity{}
)

var clientID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// IsZero reports whether no managed identity is used.
func (m ManagedIdentity) IsZero() bool { return !m.On }

// MarshalText writes true, or the client id.
func (m ManagedIdentity) MarshalText() ([]byte, error) {
	switch {
	case m.ClientID != "":
		return []byte(m.ClientID), nil
	case m.On:
		return []byte("true"), nil
	}
	return nil, nil
}

// UnmarshalText reads true, false, or a client id.
func (m *ManagedIdentity) UnmarshalText(text []byte) error {
	switch s := string(text); {
	case s == "true":
		*m = ManagedIdentity{On: true}
	case s == "" || s == "false":
		*m = ManagedIdentity{}
	case clientID.MatchString(s):
		*m = ManagedIdentity{On: true, ClientID: s}
	default:
		return errors.New("is not a managed identity; write true, or the client id of one, e.g. 11111111-2222-4333-8444-555555555555")
	}
	return nil
}
