package config

import (
	"net/url"
	"slices"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Token is one that may ask the HTTP API, and is not the ledger's: it is valid
// as long as it stands in the configuration.
type Token struct {
	Name  string      `yaml:"name"`
	Hash  secrets.Ref `yaml:"hash"`  // reference to its SHA-256, 64 hex digits
	Scope string      `yaml:"scope"` // producer or ops
	Teams []string    `yaml:"teams"` // ids, or "*" alone
}

// Notify says who of the fleet's is told of what becomes of deliveries, beside
// those that a connector names.
type Notify struct {
	Webhook Webhook     `yaml:"webhook"`
	Slack   secrets.Ref `yaml:"slack" help:"reference to the URL of a Slack-compatible incoming webhook"`
}

// Webhook is an address that is told what becomes of deliveries.
type Webhook struct {
	URL    string      `json:"url" yaml:"url" help:"https://… that is told what becomes of every delivery and connector"`
	Secret secrets.Ref `json:"secret" yaml:"secret" help:"reference to the secret that it is signed with"`
}

// Validate returns everything wrong with the webhook, but whether it may be
// reached: that is seen when it is.
func (w Webhook) Validate() (p waybill.Problems) {
	if w == (Webhook{}) {
		return nil
	}
	if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		p.Addf("url", "is not the address of a webhook; write https://host/path, without credentials")
	}
	if w.Secret.IsZero() {
		p.Addf("secret", "is missing; give a reference to the secret that proves to who is told that it was us")
	}
	return p
}

func (t Token) validate() (p waybill.Problems) {
	if t.Name == "" {
		p.Addf("name", "is missing; the token itself begins with it")
	}
	if t.Hash.IsZero() {
		p.Addf("hash", "is missing; give a reference to the hash that `waybill token create --offline` prints")
	}
	oneOf(&p, "scope", t.Scope, "producer", "ops")
	if len(t.Teams) == 0 {
		p.Addf("teams", "is empty; name the teams, or \"*\" for all of them")
	}
	return p
}

func validateTokens(tokens []Token) (p waybill.Problems) {
	for i, t := range tokens {
		p.Add(element("tokens", i), t.validate())
		if slices.ContainsFunc(tokens[:i], func(other Token) bool { return other.Name == t.Name }) {
			p.Addf(element("tokens", i)+".name", "%s stands twice", waybill.Quote(t.Name))
		}
	}
	return p
}
