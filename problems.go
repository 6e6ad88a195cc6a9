package waybill

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with what a person or a producer wrote.
type Problem struct {
	Field   string `json:"field"`   // path of the field, e.g. "schema.fields[2].name"
	Message string `json:"message"` // what is wrong and how to mend it
}

// Problems collects everything wrong with one document, so that its author
// mends it in one go. A nil Problems is no problem.
type Problems []Problem

// Addf records a problem of the field at path.
func (p *Problems) Addf(path, format string, args ...any) {
	*p = append(*p, Problem{Field: path, Message: fmt.Sprintf(format, args...)})
}

// Add records the problems of a part of the document that stands at path.
func (p *Problems) Add(path string, part Problems) {
	for _, q := range part {
		q.Field = joinPath(path, q.Field)
		*p = append(*p, q)
	}
}

// Err returns p as an error, or nil if there is no problem.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Error lists every problem, each with its field.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = q.Field + ": " + q.Message
	}
	return strings.Join(lines, "; ")
}

func joinPath(path, field string) string {
	if path == "" || field == "" || strings.HasPrefix(field, "[") {
		return path + field
	}
	return path + "." + field
}

// Quote quotes what somebody sent, so that neither control characters nor
// megabytes of it reach a terminal or a log.
func Quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q… (%d bytes)", s[:80], len(s))
	}
	return fmt.Sprintf("%q", s)
}
