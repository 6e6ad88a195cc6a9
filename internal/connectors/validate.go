package connectors

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
)

// Rules are what the packages that do the delivering know of a connector's
// parts. A nil function checks nothing.
type Rules struct {
	CheckURL  func(string) error // of a storage location
	CheckPath func(string) error // of a path template
	// CheckSnowflake reads how a customer's account is named; what is wrong are [waybill.Problems].
	CheckSnowflake func(Snowflake) error
	Formats        []string       // that can be written
	Kinds          []waybill.Kind // that are delivered to
}

var connectorID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

const maxInFlight = 1000

// BackfillInitial in a connector has its history brought by itself.
const BackfillInitial = "initial"

// Validate returns everything wrong with the connector.
func (r Rules) Validate(c Connector) waybill.Problems {
	var p waybill.Problems
	if !connectorID.MatchString(c.ID) {
		p.Addf("id", "%s is not a connector's id; use 1 to 63 lower-case letters, digits and -", waybill.Quote(c.ID))
	}
	if !waybill.ValidID(c.Team) {
		p.Addf("team", "%s is not a team's id; use 1 to 128 letters, digits, \"_\", \".\" or \"-\"", waybill.Quote(c.Team))
	}
	if !slices.Contains(r.Kinds, c.Kind) {
		p.Addf("kind", "%s is not a kind of connector here; use %s", waybill.Quote(string(c.Kind)), joined(r.Kinds))
	}
	p.Add("", checkWorkflows(c.Workflows))
	if c.MaxInFlight < 0 || c.MaxInFlight > maxInFlight {
		p.Addf("maxInFlight", "%d is out of range; use 1 to %d, or leave it out for the fleet's default", c.MaxInFlight, maxInFlight)
	}
	if c.MalformedTolerated < 0 {
		p.Addf("malformedTolerated", "%d is negative; give the number of malformed records a run may have", c.MalformedTolerated)
	}
	if c.Backfill != "" && c.Backfill != "none" && c.Backfill != BackfillInitial {
		p.Addf("backfill", "%s is not a backfill; write initial to have the history brought once the first run is delivered, or leave it out", waybill.Quote(c.Backfill))
	}
	p.Add("", sections(c))
	if c.Storage != nil {
		p.Add("storage", r.storage(*c.Storage))
		if path := c.Storage.Path; path != "" && len(c.Workflows) != 1 && !strings.Contains(path, "{workflowId}") {
			p.Addf("storage.path", "has no {workflowId}, and the connector serves several workflows, whose jobs may share an id; add {workflowId}, or list one workflow")
		}
	}
	if c.Snowflake != nil && r.CheckSnowflake != nil {
		problems, _ := errors.AsType[waybill.Problems](r.CheckSnowflake(*c.Snowflake))
		p.Add("snowflake", problems)
	}
	if c.Databricks != nil {
		p.Add("databricks", c.Databricks.validate())
	}
	if c.DeltaSharing != nil {
		p.Add("deltasharing", c.DeltaSharing.validate())
	}
	if c.Webhook != nil {
		p.Add("webhook", c.Webhook.Validate())
	}
	if c.ActivityLog != nil && c.Kind == waybill.KindStorage {
		p.Addf("activityLog", "is a table, and kind storage delivers none; leave it out")
	}
	return p
}

// sections checks that the section of the connector's kind is there, and no other.
func sections(c Connector) (p waybill.Problems) {
	for _, s := range []struct {
		kind    waybill.Kind
		given   bool
		example string // of one that must be there
	}{
		{waybill.KindStorage, c.Storage != nil, "say where to deliver: storage: {url: s3://bucket, region: eu-central-1, formats: [parquet]}"},
		{waybill.KindSnowflake, c.Snowflake != nil, `name the customer's account: snowflake: {organization: ACMEORG, account: PROD_ANALYTICS, region: "US East 1", cloud: AWS}`},
		{waybill.KindDatabricks, c.Databricks != nil, `say who reads: databricks: {recipient: databricks, sharingIdentifier: "aws:us-east-1:<uuid>"}, or {recipient: token, secureContact: …}`},
		{waybill.KindDeltaSharing, c.DeltaSharing != nil, ""},
	} {
		switch own := c.Kind == s.kind; {
		case own && !s.given && s.example != "":
			p.Addf(string(s.kind), "is missing; %s", s.example)
		case !own && s.given && c.Kind != "":
			p.Addf(string(s.kind), "belongs to kind: %s; leave it out for kind: %s", s.kind, c.Kind)
		}
	}
	return p
}

func joined(kinds []waybill.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func checkWorkflows(workflows []string) (p waybill.Problems) {
	for i, w := range workflows {
		field := fmt.Sprintf("workflows[%d]", i)
		if !waybill.ValidID(w) {
			p.Addf(field, "%s is not a workflow's id; leave workflows out to deliver all", waybill.Quote(w))
		} else if slices.Index(workflows, w) < i {
			p.Addf(field, "%s is listed twice", waybill.Quote(w))
		}
	}
	return p
}

func (r Rules) checkURL(text string) error {
	if r.CheckURL == nil {
		return nil
	}
	return r.CheckURL(text)
}

// addErr adds what a check said of the field: its problems, each a sentence of
// its own, or its one sentence.
func addErr(p *waybill.Problems, field string, err error) {
	if problems, ok := errors.AsType[waybill.Problems](err); ok {
		for _, q := range problems {
			p.Addf(field, "%s", q.Message)
		}
	} else if err != nil {
		p.Addf(field, "%s", err)
	}
}
