package waybill

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// RunState is the platform's state of a run. Only FINISHED is delivered.
type RunState string

// The states a run can be handed in with.
const (
	RunInProgress        RunState = "IN_PROGRESS"
	RunValidating        RunState = "VALIDATING"
	RunFinished          RunState = "FINISHED"
	RunFailed            RunState = "FAILED"
	RunNotSupported      RunState = "NOT_SUPPORTED"
	RunInsufficientFunds RunState = "FAILED_INSUFFICIENT_FUNDS"
)

// RunKey is the identity of a run: a team's workflow's job.
type RunKey struct {
	TeamID     string `json:"teamId"`
	WorkflowID string `json:"workflowId"`
	JobID      string `json:"jobId"`
}

// String is team/workflow/job. No part can hold a slash.
func (k RunKey) String() string { return k.TeamID + "/" + k.WorkflowID + "/" + k.JobID }

// Source says where a run's records are.
type Source struct {
	URI         string `json:"uri"`
	Format      string `json:"format,omitempty"`      // jsonl, array or envelope; empty: detected
	Compression string `json:"compression,omitempty"` // none, gzip or zstd; empty: by extension and magic bytes
	Checksum    string `json:"checksum,omitempty"`    // sha256:<64 hex digits> of the bytes at uri
}

// Run is one finished execution of a workflow, as its producer hands it in.
type Run struct {
	RunKey
	State      RunState  `json:"state"`
	FinishedAt time.Time `json:"finishedAt"`
	RowCount   int64     `json:"rowCount"` // records, as the producer counted them
	Source     Source    `json:"source"`
	Schema     Schema    `json:"schema"`
	Replace    bool      `json:"replace,omitempty"` // start the next generation if this job was handed in otherwise before
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)

// ValidID reports whether s can be a team, workflow or job id: 1 to 128
// letters, digits, "_", "." or "-", and neither "." nor "..".
func ValidID(s string) bool {
	return identifier.MatchString(s) && s != "." && s != ".."
}

// Validate returns everything wrong with the run.
func (r Run) Validate() error {
	var p Problems
	for field, id := range map[string]string{"teamId": r.TeamID, "workflowId": r.WorkflowID, "jobId": r.JobID} {
		if !ValidID(id) {
			p.Addf(field, `%s is not an id; use 1 to 128 letters, digits, "_", "." or "-", and neither "." nor ".."`, Quote(id))
		}
	}
	p.Add("", r.validateState())
	if r.FinishedAt.IsZero() {
		p.Addf("finishedAt", "is missing; give the time the run finished, e.g. 2025-01-15T10:30:00Z")
	} else if y := r.FinishedAt.UTC().Year(); y < 2000 || y > 9999 {
		p.Addf("finishedAt", "year %d is out of range; use 2000 to 9999", y)
	}
	if r.RowCount < 0 {
		p.Addf("rowCount", "%d is negative; give the number of records", r.RowCount)
	}
	p.Add("source", r.Source.validate())
	p.Add("schema", r.Schema.Validate())
	slices.SortStableFunc(p, func(a, b Problem) int { return fieldRank(a.Field) - fieldRank(b.Field) })
	return p.Err()
}

// fieldRank orders problems as the fields stand in a run file.
func fieldRank(field string) int {
	order := []string{"teamId", "workflowId", "jobId", "state", "finishedAt", "rowCount", "source", "schema"}
	return slices.IndexFunc(order, func(name string) bool { return strings.HasPrefix(field, name) })
}

func (r Run) validateState() (p Problems) {
	states := []RunState{RunInProgress, RunValidating, RunFinished, RunFailed, RunNotSupported, RunInsufficientFunds}
	switch {
	case r.State == RunFinished:
	case slices.Contains(states, r.State):
		p.Addf("state", "is %s; only FINISHED runs are delivered: hand the run in again when it has finished", r.State)
	default:
		p.Addf("state", "%s is not a run state; only FINISHED runs are delivered", Quote(string(r.State)))
	}
	return p
}

var sha256Checksum = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (s Source) validate() (p Problems) {
	if s.URI == "" {
		p.Addf("uri", "is missing; say where the run's records are, e.g. s3://runs/TEAM/JOB.jsonl.gz")
	} else if u, err := url.Parse(s.URI); err != nil || strings.ContainsFunc(s.URI, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.Addf("uri", "%s is not a URI", Quote(s.URI))
	} else if u.User != nil {
		p.Addf("uri", "holds credentials; a source is named by reference only, its credentials belong into the fleet's configuration")
	}
	if !slices.Contains([]string{"", "jsonl", "array", "envelope"}, s.Format) {
		p.Addf("format", "%s is not a source format; use jsonl, array or envelope, or leave it out to have it detected", Quote(s.Format))
	}
	if !slices.Contains([]string{"", "none", "gzip", "zstd"}, s.Compression) {
		p.Addf("compression", "%s is not a compression; use none, gzip or zstd, or leave it out to have it detected", Quote(s.Compression))
	}
	if s.Checksum != "" && !sha256Checksum.MatchString(s.Checksum) {
		p.Addf("checksum", "%s is not a checksum; use sha256: and 64 lower-case hex digits", Quote(s.Checksum))
	}
	return p
}

// location is the URI without its query, which may be a signature that
// differs each time the same object is named.
func (s Source) location() string {
	location, _, _ := strings.Cut(s.URI, "?")
	return location
}

// Revision identifies what the producer said of the run: two hand-ins with
// one revision are the same run. It is 64 hex digits over finishedAt,
// rowCount, the descriptor's fingerprint and date orders, the source's URI
// without its query, and its checksum if given.
func (r Run) Revision() string { return digest(r.claims()) }

// Facts identifies what is said of the run itself: its revision, but for where
// its records are. The run's history and its producer may name different
// places; they mean the same run while the facts agree.
func (r Run) Facts() string {
	return digest(slices.DeleteFunc(r.claims(), func(c claim) bool { return strings.HasPrefix(c.field, "source.") }))
}

func digest(claims []claim) string {
	h := sha256.New()
	for _, c := range claims {
		fmt.Fprintf(h, "%s=%q\n", c.field, c.value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type claim struct{ field, value string }

func (r Run) claims() []claim {
	return []claim{
		{"finishedAt", r.FinishedAt.UTC().Format(time.RFC3339Nano)},
		{"rowCount", fmt.Sprint(r.RowCount)},
		{"schema", r.Schema.Fingerprint() + r.Schema.parsing()},
		{"source.uri", r.Source.location()},
		{"source.checksum", r.Source.Checksum},
	}
}

// Differing names the fields in which two hand-ins of one job differ, as far
// as a revision covers them.
func (r Run) Differing(other Run) []string {
	var fields []string
	theirs := other.claims()
	for i, c := range r.claims() {
		if c.value != theirs[i].value {
			fields = append(fields, c.field)
		}
	}
	return fields
}
