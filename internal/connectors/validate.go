package connectors

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill"
)

// Rules are what the packages that do the delivering know of a connector's
// parts. A nil function checks nothing.
type Rules struct {
	CheckURL  func(string) error // of a storage location
	CheckPath func(string) error // of a path template
	Formats   []string           // that can be written
}

var connectorID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// kinds are the kinds that this version delivers to.
var kinds = []string{string(waybill.KindStorage)}

const maxInFlight = 1000

// Validate returns everything wrong with the connector.
func (r Rules) Validate(c Connector) waybill.Problems {
	var p waybill.Problems
	if !connectorID.MatchString(c.ID) {
		p.Addf("id", "%s is not a connector's id; use 1 to 63 lower-case letters, digits and -", quoteShort(c.ID))
	}
	if !waybill.ValidID(c.Team) {
		p.Addf("team", "%s is not a team's id; use 1 to 128 letters, digits, \"_\", \".\" or \"-\"", quoteShort(c.Team))
	}
	if !slices.Contains(kinds, string(c.Kind)) {
		p.Addf("kind", "%s is not a kind of connector here; use %s", quoteShort(string(c.Kind)), strings.Join(kinds, ", "))
	}
	p.Add("", checkWorkflows(c.Workflows))
	if c.MaxInFlight < 0 || c.MaxInFlight > maxInFlight {
		p.Addf("maxInFlight", "%d is out of range; use 1 to %d, or leave it out for the fleet's default", c.MaxInFlight, maxInFlight)
	}
	if c.MalformedTolerated < 0 {
		p.Addf("malformedTolerated", "%d is negative; give the number of malformed records a run may have", c.MalformedTolerated)
	}
	if c.Storage != nil {
		p.Add("storage", r.storage(*c.Storage))
		if path := c.Storage.Path; path != "" && len(c.Workflows) != 1 && !strings.Contains(path, "{workflowId}") {
			p.Addf("storage.path", "has no {workflowId}, and the connector serves several workflows, whose jobs may share an id; add {workflowId}, or list one workflow")
		}
	} else if c.Kind == waybill.KindStorage {
		p.Addf("storage", "is missing; say where to deliver: storage: {url: s3://bucket, region: eu-central-1, formats: [parquet]}")
	}
	return p
}

func checkWorkflows(workflows []string) (p waybill.Problems) {
	for i, w := range workflows {
		field := fmt.Sprintf("workflows[%d]", i)
		if !waybill.ValidID(w) {
			p.Addf(field, "%s is not a workflow's id; leave workflows out to deliver all", quoteShort(w))
		} else if slices.Index(workflows, w) < i {
			p.Addf(field, "%s is listed twice", quoteShort(w))
		}
	}
	return p
}

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
			p.Addf(field, "%s is not a format; use %s", quoteShort(f), strings.Join(r.Formats, ", "))
		} else if slices.Index(s.Formats, f) < i {
			p.Addf(field, "%s is listed twice", f)
		}
	}
	return p
}

func (r Rules) location(s Storage) (p waybill.Problems) {
	if s.URL == "" {
		p.Addf("url", "is missing; give the bucket, e.g. s3://bucket or s3://bucket/prefix")
		return p
	}
	if err := r.checkURL(s.URL); err != nil {
		addErr(&p, "url", err)
		return p
	}
	if !strings.HasPrefix(s.URL, "s3://") {
		if s.Region != "" || s.Endpoint != "" || s.PathStyle || s.Access != (Access{}) {
			p.Addf("url", "is no S3 bucket; region, endpoint, pathStyle and access belong to s3:// only")
		}
		return p
	}
	if s.Region == "" && s.Endpoint == "" {
		p.Addf("region", "is missing; give the bucket's region, e.g. eu-central-1")
	}
	if !validEndpoint(s.Endpoint) {
		p.Addf("endpoint", "is not an endpoint; write https://host or https://host:port, without credentials, path or query")
	}
	switch id, key := s.Access.AccessKeyID, s.Access.SecretAccessKey; {
	case id.IsZero() && !key.IsZero():
		p.Addf("access.accessKeyId", "is missing beside secretAccessKey; give both, or neither for a bucket policy that names us")
	case key.IsZero() && !id.IsZero():
		p.Addf("access.secretAccessKey", "is missing beside accessKeyId; give both, or neither for a bucket policy that names us")
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

func validEndpoint(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" &&
		strings.Trim(u.Path, "/") == "" && (u.Scheme == "https" || u.Scheme == "http")
}

func quoteShort(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", s[:80], len(s))
	}
	return strconv.Quote(s)
}
