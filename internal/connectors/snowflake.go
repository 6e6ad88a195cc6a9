package connectors

import "strings"

// Snowflake is a customer's Snowflake account, which our share goes to.
type Snowflake struct {
	Organization      string `json:"organization,omitempty" yaml:"organization"`           // empty: Account is a locator, or has it
	Account           string `json:"account" yaml:"account"`                               // its name, or its locator in our own region
	Region            string `json:"region" yaml:"region"`                                 // as people write it: us-east-1, AWS_US_EAST_1, "US East 1"
	Cloud             string `json:"cloud,omitempty" yaml:"cloud"`                         // AWS, GCP or Azure; needed only where the region does not say it
	AllowLowerEdition bool   `json:"allowLowerEdition,omitempty" yaml:"allowLowerEdition"` // share although the account's edition is lower than ours
}

// where names the account for a person.
func (s Snowflake) where() string {
	account := s.Account
	if s.Organization != "" {
		account = s.Organization + "." + account
	}
	return account + " in " + strings.TrimSpace(s.Cloud+" "+s.Region)
}
