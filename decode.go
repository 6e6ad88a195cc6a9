package waybill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// MaxRunBytes bounds a run document: a descriptor of MaxFields fields fits.
const MaxRunBytes = 1 << 20

// DecodeRun reads and validates a run document, the content of a run.json and
// the body of a hand-in over HTTP. Unknown keys are refused. The error is a
// [Problems] that names every field at fault.
func DecodeRun(r io.Reader) (Run, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxRunBytes+1))
	if err != nil {
		return Run{}, fmt.Errorf("read run: %w", err)
	}
	var run Run
	if len(text) > MaxRunBytes {
		return run, Problems{{Field: "run", Message: fmt.Sprintf("is larger than %d bytes", MaxRunBytes)}}
	}
	p := checkKeys(text)
	if err := json.Unmarshal(text, &run); err != nil {
		p.addNew(decodeErrorField(err), decodeErrorText(err))
		return run, p
	}
	if problems, ok := errors.AsType[Problems](run.Validate()); ok {
		for _, q := range problems {
			p.addNew(q.Field, q.Message)
		}
	}
	return run, p.Err()
}

// addNew adds a problem of a field that has none yet.
func (p *Problems) addNew(field, message string) {
	if !slices.ContainsFunc(*p, func(q Problem) bool { return q.Field == field }) {
		*p = append(*p, Problem{field, message})
	}
}

// checkKeys reports unknown keys and the absence of those whose zero value
// would be taken for an answer.
func checkKeys(text []byte) (p Problems) {
	var run, source, schema map[string]json.RawMessage
	if err := json.Unmarshal(text, &run); err != nil {
		p.Addf("run", "%s", decodeErrorText(err))
		return p
	}
	unknownKeys(&p, "", run, "teamId", "workflowId", "jobId", "state", "finishedAt", "rowCount", "source", "schema", "replace")
	if v, ok := run["rowCount"]; !ok || bytes.Equal(v, []byte("null")) {
		p.Addf("rowCount", "is missing; give the number of records, 0 if there are none")
	}
	if json.Unmarshal(run["source"], &source) == nil {
		unknownKeys(&p, "source", source, "uri", "format", "compression", "checksum")
	}
	var fields []map[string]json.RawMessage
	if json.Unmarshal(run["schema"], &schema) == nil {
		unknownKeys(&p, "schema", schema, "fields")
		_ = json.Unmarshal(schema["fields"], &fields) // a wrong type is reported by the typed decoding
	}
	for i, f := range fields {
		unknownKeys(&p, fmt.Sprintf("schema.fields[%d]", i), f, "name", "dataType", "fieldType", "isKey", "dateOrder", "description")
	}
	return p
}

func unknownKeys(p *Problems, path string, object map[string]json.RawMessage, known ...string) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, key) {
			p.Addf(joinPath(path, Quote(key)), "is not a key here; known are %s", join(known))
		}
	}
}

func decodeErrorField(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return t.Field
	}
	return "run"
}

func decodeErrorText(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("is a JSON %s where %s is wanted", t.Value, t.Type)
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("is not JSON at byte %d: %v", s.Offset, s)
	}
	return err.Error()
}
