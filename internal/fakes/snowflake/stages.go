package snowflake

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Objects is what an external stage reads: the objects below one URL of
// [Options.Locations].
type Objects interface {
	// List gives the keys below a prefix, each with a text that changes with its
	// content.
	List(ctx context.Context, prefix string) (map[string]string, error)
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// Folder is the objects of a folder: the bucket of the sandbox.
type Folder string

// List implements [Objects].
func (f Folder) List(_ context.Context, prefix string) (map[string]string, error) {
	found := map[string]string{}
	err := filepath.WalkDir(string(f), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		key, err := filepath.Rel(string(f), name)
		if err != nil || !strings.HasPrefix(filepath.ToSlash(key), prefix) {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			found[filepath.ToSlash(key)] = fmt.Sprint(info.Size(), info.ModTime())
		}
		return err
	})
	return found, err
}

// Open implements [Objects].
func (f Folder) Open(_ context.Context, key string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), filepath.FromSlash(key)))
}

// createStage follows https://docs.snowflake.com/en/sql-reference/sql/create-stage
func (s *session) createStage(p *parser, replace bool) (*result, error) {
	unlessExists, name := p.ifNotExists(), p.name()
	made := &stage{name: name[len(name)-1], owner: s.role, created: s.srv.now()}
	for p.peek().kind == kindWord {
		switch {
		case p.comment(&made.comment):
		case p.accept("URL", "="):
			made.url = p.str()
		default:
			p.expect("STORAGE_INTEGRATION", "=")
			made.integration = p.ident()
		}
	}
	p.end()
	in := s.ownSchema(name)
	if in.stages[made.name] != nil && !replace {
		if unlessExists {
			return status("%s already exists, statement succeeded.", made.name), nil
		}
		panic(exists(made.name))
	}
	s.need("CREATE STAGE", in)
	if made.url != "" {
		s.checkIntegration(made)
	} else {
		s.srv.ids++
		made.dir = filepath.Join(s.srv.dir, fmt.Sprintf("stage%d", s.srv.ids))
		if err := os.Mkdir(made.dir, 0o700); err != nil {
			return nil, err
		}
	}
	made.schema = in
	in.stages[made.name] = made
	return status("Stage area %s successfully created.", made.name), nil
}

func (s *session) checkIntegration(made *stage) {
	with := s.account.integrations[made.integration]
	if with == nil {
		panic(missing("Integration", made.integration))
	}
	if !slices.ContainsFunc(with.allowed, func(location string) bool { return strings.HasPrefix(made.url, location) }) {
		panic(errorf(3537, "42501", "SQL compilation error:\nLocation '%s' is not allowed by integration '%s'. Please use DESC INTEGRATION to check out allowed and blocked locations.", made.url, with.name))
	}
}

func (s *session) dropStage(p *parser) *result {
	ifExists, name := p.ifExists(), p.name()
	p.end()
	in := s.ownSchema(name)
	found := in.stages[name[len(name)-1]]
	if ifExists && found == nil {
		return status("Drop statement executed successfully (%s already dropped).", name[len(name)-1])
	}
	found = s.stage(name)
	s.needOwner(found)
	delete(in.stages, found.name)
	s.account.drop(found)
	return status("%s successfully dropped.", found.name)
}

// at resolves @[db.][schema.]stage[/path] to a stage and a path below it.
func (s *session) at(text string) (*stage, string) {
	quoted, cut := false, len(text)
	for i := range len(text) {
		if text[i] == '"' {
			quoted = !quoted
		}
		if text[i] == '/' && !quoted {
			cut = i
			break
		}
	}
	p, err := newParser(text[:cut], nil)
	if err != nil {
		panic(err)
	}
	name := p.name()
	p.end()
	return s.stage(name), strings.TrimPrefix(text[cut:], "/")
}

// objects are what a stage reads, and the prefix of its keys there.
func (s *session) objects(st *stage) (Objects, string) {
	if st.url == "" {
		return Folder(st.dir), ""
	}
	s.need("USAGE", st)
	for _, location := range slices.Backward(slices.Sorted(maps.Keys(s.srv.opts.Locations))) {
		if rest, ok := strings.CutPrefix(st.url, location); ok {
			return s.srv.opts.Locations[location], strings.TrimPrefix(rest, "/")
		}
	}
	panic(errorf(2003, "02000", "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)] %s", st.url))
}

// stagedFile is a file of a stage: its path there as the stage's owner, its key
// at the bucket, and the version.
type stagedFile struct {
	path, key, name, version string
	objects                  Objects
}

// list gives the files of a stage below a path.
func (s *session) list(st *stage, below string) ([]stagedFile, error) {
	objects, prefix := s.objects(st)
	found, err := objects.List(context.Background(), prefix+below)
	if err != nil {
		return nil, err
	}
	var files []stagedFile
	for _, key := range slices.Sorted(maps.Keys(found)) {
		f := stagedFile{path: strings.TrimPrefix(key, prefix), key: key, version: found[key], objects: objects}
		if f.name = strings.ToLower(st.name) + "/" + f.path; st.url != "" {
			f.name = strings.TrimSuffix(st.url, prefix) + key
		}
		files = append(files, f)
	}
	return files, nil
}

// fetch copies a file to where DuckDB can read it.
func (f stagedFile) fetch(dir string) (name string, err error) {
	from, err := f.objects.Open(context.Background(), f.key)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, "copy*.parquet")
	if err != nil {
		return "", err
	}
	defer to.Close()
	_, err = io.Copy(to, from)
	return to.Name(), err
}

// listStatement runs LIST; removeFiles runs REMOVE, on internal stages.
//
// https://docs.snowflake.com/en/sql-reference/sql/list
// https://docs.snowflake.com/en/sql-reference/sql/remove
func (s *session) listStatement(p *parser) (*result, error) {
	st, below := s.at(p.stageName())
	p.end()
	files, err := s.list(st, below)
	rows := make([][]any, len(files))
	for i, f := range files {
		rows[i] = []any{f.name, nil, f.version, st.created.Format("Mon, 2 Jan 2006 15:04:05 GMT")}
	}
	return table([]string{"name", "size", "md5", "last_modified"}, rows...), err
}

func (s *session) removeFiles(p *parser) (*result, error) {
	st, below := s.at(p.stageName())
	p.end()
	s.need("WRITE", st)
	if st.url != "" {
		panic(notModelled("REMOVE on an external stage"))
	}
	files, err := s.list(st, below)
	rows := make([][]any, len(files))
	for i, f := range files {
		if err := os.Remove(filepath.Join(st.dir, f.path)); err != nil {
			return nil, err
		}
		rows[i] = []any{f.name, "removed"}
	}
	return table([]string{"name", "result"}, rows...), err
}

func (p *parser) stageName() string {
	t := p.next()
	text, isStage := t.text, t.kind == kindStage
	if t.kind == kindString {
		text, isStage = strings.CutPrefix(t.text, "@")
	}
	if !isStage {
		p.at--
		p.fail()
	}
	return text
}

// upload is what PUT tells the driver, which then writes the files itself.
//
// https://docs.snowflake.com/en/sql-reference/sql/put
type upload struct {
	from      string
	to        string
	overwrite bool
	compress  bool
	source    string
}

func (u *upload) describe(data map[string]any) {
	data["command"] = "UPLOAD"
	data["src_locations"] = []string{u.from}
	data["overwrite"] = u.overwrite
	data["autoCompress"] = u.compress
	data["sourceCompression"] = u.source
	data["parallel"] = 4
	data["stageInfo"] = map[string]any{"locationType": "LOCAL_FS", "location": u.to}
}

func (s *session) put(p *parser) (*result, error) {
	from, ok := strings.CutPrefix(p.str(), "file://")
	if !ok {
		panic(notModelled("PUT of what is not 'file://…'"))
	}
	st, below := s.at(p.stageName())
	u := &upload{from: from, compress: true, source: "auto_detect"}
	for p.peek().kind == kindWord {
		switch {
		case p.accept("AUTO_COMPRESS", "="):
			u.compress = p.boolean()
		case p.accept("OVERWRITE", "="):
			u.overwrite = p.boolean()
		case p.accept("PARALLEL", "="):
			p.number()
		default:
			p.expect("SOURCE_COMPRESSION", "=")
			u.source = strings.ToLower(p.ident())
		}
	}
	p.end()
	s.need("WRITE", st)
	if st.url != "" {
		panic(errorf(1003, "42000", "SQL compilation error:\nCannot upload to an external stage with PUT."))
	}
	if clean := path.Clean("/" + below); clean != "/"+strings.TrimSuffix(below, "/") && below != "" {
		panic(notModelled("the path %q", below))
	}
	u.to = filepath.Join(st.dir, filepath.FromSlash(below))
	r := status("")
	r.upload = u
	return r, os.MkdirAll(u.to, 0o700)
}
