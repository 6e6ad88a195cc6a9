package sqltext

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// place is where the files of one workflow are.
type place struct {
	scheme   string // s3, gs or azblob
	bucket   string // or container
	account  string // of azblob
	endpoint string // of a store that is not the vendor's public one
	root     string // the connector's url, with a slash at its end
	prefix   string // of keys within the bucket: empty, or with a slash at its end
	fixed    string // folders that all runs of the workflow share, with a slash at the end
	varying  []string
	file     file
	only     bool // no other format stands beside the files
	mixed    bool // files of other workflows stand below fixed too
}

// file is the format that is read, the best one that is delivered.
type file struct{ format, extension, compression string }

var extensions = map[string]string{"": "", "gzip": ".gz", "zstd": ".zst"}

func locate(in Input) (place, error) {
	s := in.Connector.Storage
	u, err := url.Parse(s.URL)
	if err != nil || !slices.Contains([]string{"s3", "gs", "azblob"}, u.Scheme) {
		return place{}, errors.New("there is no warehouse that reads this connector's store; SQL is written for s3://, gs:// and azblob://")
	}
	p := place{scheme: u.Scheme, bucket: u.Host, account: s.Access.Account, endpoint: s.Endpoint, only: len(s.Formats) == 1}
	if p.prefix = strings.Trim(u.Path, "/"); p.prefix != "" {
		p.prefix += "/"
	}
	p.root = fmt.Sprintf("%s://%s/%s", p.scheme, p.bucket, p.prefix)
	if p.file, err = pick(s.Formats, s.Compression.Of); err != nil {
		return place{}, err
	}
	// Everything takes these for a pattern, and not all can be told otherwise.
	if template := regexp.MustCompile(`\{[a-zA-Z]+\}`).ReplaceAllString(in.Path, ""); strings.ContainsAny(template+p.prefix, "*?[]{}^") {
		return place{}, errors.New("storage.path or storage.url holds one of * ? [ ] { } ^, which warehouses take for a pattern; use another name")
	}
	p.split(in)
	return p, nil
}

// pick takes the format that warehouses read best.
func pick(formats []string, compression func(string) string) (file, error) {
	for _, f := range []string{"parquet", "csv", "jsonl"} {
		if slices.Contains(formats, f) {
			return file{f, f + extensions[compression(f)], compression(f)}, nil
		}
	}
	return file{}, errors.New("the connector delivers json only, one document that warehouses do not read as rows; add parquet to storage.formats")
}

var variable = regexp.MustCompile(`\{([a-zA-Z]+)\}`)

// split cuts the template where runs begin to differ.
func (p *place) split(in Input) {
	known := strings.NewReplacer("{teamId}", in.Connector.Team, "{workflowId}", in.Workflow)
	for segment := range strings.SplitSeq(strings.Trim(in.Path, "/"), "/") {
		if text := known.Replace(segment); len(p.varying) == 0 && !strings.Contains(text, "{") {
			p.fixed += text + "/"
		} else {
			p.varying = append(p.varying, text)
			p.mixed = p.mixed || strings.Contains(segment, "{workflowId}")
		}
	}
}

// glob is where the files are below fixed, * standing for what differs.
func (p place) glob() string {
	var b strings.Builder
	for _, segment := range p.varying {
		b.WriteString(variable.ReplaceAllString(segment, "*") + "/")
	}
	// Several files of one run, where they are split, all begin with data.
	return strings.ReplaceAll(b.String(), "**", "*") + "data*." + p.file.extension
}

// pattern is glob as a regular expression for the ends of keys. Literals are
// put into brackets: a backslash would need another one in each language.
func (p place) pattern() string {
	var b strings.Builder
	b.WriteString("(.*/)?") // whether it is held against the whole key or its end
	for _, c := range p.glob() {
		switch {
		case c == '*':
			b.WriteString("[^/]*")
		case strings.ContainsRune(`.+()|$`, c):
			b.WriteString("[" + string(c) + "]")
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// partition is a column whose value is a folder's name: all of it, or what
// follows the = of a Hive-style one.
type partition struct {
	Name  string
	Index int  // of the segment in the key, from 1
	Hive  bool // the value follows a =
}

// hive is a folder such as dt={date}.
var hive = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)=\{[a-zA-Z]+\}$`)

// partitions are the folders that differ between runs.
func (p place) partitions(brand string) (list []partition) {
	before := strings.Count(p.prefix+p.fixed, "/")
	for i, segment := range p.varying {
		if !strings.Contains(segment, "{") {
			continue
		}
		q := partition{Index: before + i + 1, Name: brand + "_run_folder"}
		if m := hive.FindStringSubmatch(segment); m != nil {
			q.Name, q.Hive = m[1], true
		} else if names := variable.FindAllStringSubmatch(segment, -1); len(names) == 1 && names[0][0] == segment {
			q.Name = brand + "_" + snake(names[0][1])
		}
		if slices.ContainsFunc(list, func(o partition) bool { return strings.EqualFold(o.Name, q.Name) }) {
			q.Name = fmt.Sprintf("%s_%d", q.Name, q.Index)
		}
		list = append(list, q)
	}
	return list
}

// snake writes runDatetime as run_datetime.
func snake(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}

var plainWorkflow = regexp.MustCompile(`^wf_[a-z0-9_]+$`)

// tableName is the workflow's part of a table's name, by the rule of the
// tables that Waybill makes itself, in lower case.
func tableName(workflow string) string {
	const longest = 100
	if plainWorkflow.MatchString(workflow) && len(workflow) <= longest {
		return strings.TrimPrefix(workflow, "wf_")
	}
	name := strings.TrimPrefix(workflow, "wf_")
	name = regexp.MustCompile(`[^a-z0-9_]`).ReplaceAllString(strings.ToLower(name), "_")
	sum := sha256.Sum256([]byte(workflow))
	return cmp.Or(name[:min(len(name), longest)], "workflow") + "_" + hex.EncodeToString(sum[:4])
}

// free is the name, or the name with a mark where a column has it.
func (p page) free(name string) string {
	for _, c := range p.Columns {
		if strings.EqualFold(c.Name, name) {
			return p.free(name + "_")
		}
	}
	return name
}

func upper(name string) string { return strings.ToUpper(name) }
