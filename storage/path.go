package storage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// DefaultPath is the path template of connectors that name none.
func DefaultPath(brand string) string {
	return brand + "/{teamId}/{workflowId}/{timestamp}-{jobId}/"
}

// Path is the template of the folder that a run's files go to.
type Path struct {
	text     string
	segments []segment
}

// segment is what stands between two slashes.
type segment []piece

// piece is either literal text or a variable.
type piece struct{ text, variable string }

// variable is a name a template may use.
type variable struct {
	name    string
	longest int // bytes
	expand  func(run waybill.RunKey, finishedAt time.Time) string
}

// variables are the older set and the newer one. Times are when the run
// finished, in UTC; what is below a format's unit is cut off, not rounded.
var variables = []variable{
	{"teamId", longestID, func(run waybill.RunKey, _ time.Time) string { return sanitise(run.TeamID) }},
	{"workflowId", longestID, func(run waybill.RunKey, _ time.Time) string { return sanitise(run.WorkflowID) }},
	{"jobId", longestID, jobID},
	{"runId", longestID, jobID},
	{"timestamp", 20, layout("2006-01-02T15-04-05Z")},
	{"date", 10, layout(time.DateOnly)},
	{"runDatetimeSafe", 20, layout("2006-01-02_15-04-05Z")},
	{"runDatetime", 24, layout("2006-01-02T15:04:05.000Z")},
	{"runDate", 10, layout(time.DateOnly)},
}

func lookUp(name string) (variable, bool) {
	i := slices.IndexFunc(variables, func(v variable) bool { return v.name == name })
	if i < 0 {
		return variable{}, false
	}
	return variables[i], true
}

func jobID(run waybill.RunKey, _ time.Time) string { return sanitise(run.JobID) }

func layout(format string) func(waybill.RunKey, time.Time) string {
	return func(_ waybill.RunKey, finishedAt time.Time) string { return finishedAt.UTC().Format(format) }
}

// Variables lists the names that a template may use.
func Variables() []string {
	names := make([]string, len(variables))
	for i, v := range variables {
		names[i] = v.name
	}
	return names
}

// maxFileName is what a template leaves of a key's bytes for the file's name
// and the store's own prefix.
const maxFileName = 256

// longestID is the bytes of the longest id that [waybill.ValidID] accepts.
const longestID = 128

// ParsePath reads a template such as team={teamId}/dt={date}/{jobId}/. A slash
// at its end may be left out. The error is a [waybill.Problems] with everything
// that is wrong with the field path.
func ParsePath(template string) (Path, error) {
	var p waybill.Problems
	path := Path{text: template}
	if template == "" {
		p.Addf("path", "is empty; write a template such as %s", DefaultPath("kadoa"))
		return Path{}, p
	}
	if strings.HasPrefix(template, "/") {
		p.Addf("path", "begins with a slash; paths are relative to the connector's url")
	}
	length := 0
	for text := range strings.SplitSeq(strings.Trim(template, "/"), "/") {
		s, problems := parseSegment(text)
		p.Add("", problems)
		path.segments = append(path.segments, s)
		length += s.longest() + 1
	}
	p.Add("", path.check(template, length))
	if err := p.Err(); err != nil {
		return Path{}, err
	}
	return path, nil
}

// check looks at the template as a whole.
func (p Path) check(template string, length int) (problems waybill.Problems) {
	if strings.HasSuffix(template, "//") || strings.HasPrefix(template, "//") {
		problems.Addf("path", "has an empty segment; separate folders by single slashes")
	}
	if !p.Uses("jobId") && !p.Uses("runId") {
		problems.Addf("path", "gives several runs one folder; add {jobId} or {runId}")
	}
	if length > MaxKeyBytes-maxFileName {
		problems.Addf("path", "can become %d bytes long; shorten it to %d, counting %d for an id", length, MaxKeyBytes-maxFileName, longestID)
	}
	if first := p.segments[0]; len(first) == 1 && strings.EqualFold(first[0].text, reserved) {
		problems.Addf("path", "begins with %s, which is Waybill's own; use another name", reserved)
	}
	return problems
}

func parseSegment(text string) (s segment, problems waybill.Problems) {
	if err := segmentFault(text); err != nil {
		problems.Addf("path", "%v; give plain folder names, separated by single slashes", err)
	}
	for rest := text; rest != ""; {
		literal, after, variable := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			problems.Addf("path", "has a } without a {; write variables as {jobId}")
		}
		if literal != "" {
			s = append(s, piece{text: literal})
		}
		if !variable {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed {
			problems.Addf("path", "has a { that is not closed in its segment; write variables as {jobId}")
			break
		}
		if _, known := lookUp(name); !known {
			problems.Addf("path", "%.60q is not a variable; known are {%s}", name, strings.Join(Variables(), "}, {"))
		}
		s, rest = append(s, piece{variable: name}), after
	}
	return s, problems
}

// longest is the most bytes that the segment can become.
func (s segment) longest() (n int) {
	for _, piece := range s {
		n += len(piece.text)
		v, _ := lookUp(piece.variable)
		n += v.longest
	}
	return n
}

// String is the template as it was written.
func (p Path) String() string { return p.text }

// Uses reports whether the template names the variable. A connector that
// serves several workflows should use workflowId: job ids are distinct within
// one workflow only.
func (p Path) Uses(variable string) bool {
	return slices.ContainsFunc(p.segments, func(s segment) bool { return slices.Contains(s, piece{variable: variable}) })
}

// Expand returns the folder of a run, relative and with a slash at its end.
// The run's ids stand in it as they are if they are what [waybill.ValidID]
// accepts. Of any other id, which only a fault of ours can bring here, each
// byte that could leave its segment becomes % and two hex digits, so that no
// id can climb out and no two ids meet in one folder.
func (p Path) Expand(run waybill.RunKey, finishedAt time.Time) string {
	var b strings.Builder
	for _, s := range p.segments {
		for _, piece := range s {
			b.WriteString(piece.text)
			if v, ok := lookUp(piece.variable); ok {
				b.WriteString(v.expand(run, finishedAt))
			}
		}
		b.WriteByte('/')
	}
	return b.String()
}

func sanitise(id string) string {
	if waybill.ValidID(id) && !strings.EqualFold(id, reserved) {
		return id
	}
	if id == "" {
		return "%" // stands for nothing else: an escaped byte has two digits
	}
	var b strings.Builder
	for i := range len(id) {
		if c := string(rune(id[i])); waybill.ValidID(c) {
			b.WriteString(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", id[i])
		}
	}
	return b.String()
}
