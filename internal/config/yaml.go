package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/waybillhq/waybill"
)

// MaxDocumentBytes bounds what is read as YAML.
const MaxDocumentBytes = 1 << 20

// Document is one YAML document of a file.
type Document struct {
	file   string
	before int // lines of the file before the part that was parsed
	body   ast.Node
	lines  map[string]int // line of each path that the document gives
}

// ParseYAML splits a YAML text into its documents; empty ones are left out.
// The error is a [waybill.Problems] whose fields begin with file and line.
func ParseYAML(file string, text []byte) ([]*Document, error) {
	if len(text) > MaxDocumentBytes {
		return nil, waybill.Problems{{Field: file, Message: fmt.Sprintf("is larger than %d bytes", MaxDocumentBytes)}}
	}
	if line := tooDeep(text); line > 0 {
		return nil, waybill.Problems{{Field: at(file, line), Message: fmt.Sprintf("brackets stand more than %d deep", maxBrackets)}}
	}
	var docs []*Document
	var problems waybill.Problems
	before := 0
	for _, part := range splitDocuments(text) {
		parsed, problem := parsePart(file, before, part)
		docs, problems = append(docs, parsed...), append(problems, problem...)
		before += bytes.Count(part, []byte("\n"))
	}
	return docs, problems.Err()
}

var documentStart = regexp.MustCompile(`(?m)^---(\s|$)`)

// splitDocuments cuts a text before each "---". The parser could do that, but
// it drops without a word whatever follows an empty document.
func splitDocuments(text []byte) (parts [][]byte) {
	from := 0
	for _, mark := range documentStart.FindAllIndex(text, -1) {
		parts = append(parts, text[from:mark[0]])
		from = mark[0]
	}
	return append(parts, text[from:])
}

func parsePart(file string, before int, text []byte) (docs []*Document, problems waybill.Problems) {
	defer func() { // the parser is a library that reads whatever a person wrote
		if r := recover(); r != nil {
			docs, problems = nil, waybill.Problems{{Field: at(file, before+1), Message: "is not YAML"}}
		}
	}()
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, waybill.Problems{syntaxProblem(file, before, err)}
	}
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			docs = append(docs, &Document{file: file, before: before, body: doc.Body, lines: map[string]int{}})
		}
	}
	return docs, nil
}

// syntaxProblem takes the message and the line, and leaves out the excerpt of
// the file that the library's own text has: it may show a secret.
func syntaxProblem(file string, before int, err error) waybill.Problem {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok || e.GetToken() == nil {
		return waybill.Problem{Field: at(file, before+1), Message: "is not YAML"}
	}
	return waybill.Problem{Field: at(file, before+e.GetToken().Position.Line), Message: "is not YAML: " + e.GetMessage()}
}

// maxBrackets bounds how deep "[" and "{" may nest, for the parser recurses.
const maxBrackets = 64

// tooDeep returns the first line with too many open brackets. It counts those
// in quoted text as well; no document that makes sense comes near the limit.
func tooDeep(text []byte) (line int) {
	depth := 0
	for i, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxBrackets {
			return 1 + bytes.Count(text[:i], []byte("\n"))
		}
	}
	return 0
}

// Decode reads the document into the struct that v points to, strictly: keys
// that the struct's yaml tags do not name are refused. Values that the document
// does not give, or gives as null, stay as they are in v. It returns every
// problem of the document, each with file, line and path, or nil.
func (d *Document) Decode(v any) waybill.Problems {
	dec := &decoder{lines: d.lines}
	dec.value("", d.body, reflect.ValueOf(v).Elem())
	return d.Locate(dec.problems)
}

// Locate puts file and line before the fields of problems that a validation of
// the decoded document found. The line is that of the nearest key there is.
func (d *Document) Locate(problems waybill.Problems) waybill.Problems {
	return locate(problems, d.place)
}

// Place is where the document begins: file:line.
func (d *Document) Place() string { return d.place("") }

func (d *Document) place(path string) string {
	for ; path != ""; path = parent(path) {
		if line, ok := d.lines[path]; ok {
			return at(d.file, d.before+line)
		}
	}
	return at(d.file, d.before+d.body.GetToken().Position.Line)
}

func locate(problems waybill.Problems, place func(path string) string) waybill.Problems {
	var located waybill.Problems
	for _, p := range problems {
		where := place(p.Field)
		if p.Field != "" && where != "" {
			where += ": "
		}
		located = append(located, waybill.Problem{Field: where + p.Field, Message: p.Message})
	}
	return located
}

func at(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }

func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// nearest returns the known name that a person probably meant, or "".
func nearest(name string, known []string) string {
	best, distance := "", 3 // two slips of the finger
	for _, candidate := range known {
		if n := editDistance(strings.ToLower(name), strings.ToLower(candidate)); n < distance && n < len(candidate) {
			best, distance = candidate, n
		}
	}
	return best
}

// editDistance is the Levenshtein distance of two short texts.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
