package snowflake

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// copyInto is a COPY INTO statement, as far as it is modelled: Parquet, matched
// by column name, all or nothing.
//
// https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
type copyInto struct {
	table    *relation
	files    []stagedFile
	named    []string // FILES
	metadata map[string]string
	caseless bool
	force    bool
}

var copyColumns = []column{
	{name: "file", typ: textType(maxLength)}, {name: "status", typ: textType(maxLength)},
	{name: "rows_parsed", typ: numberType(18, 0)}, {name: "rows_loaded", typ: numberType(18, 0)},
	{name: "error_limit", typ: numberType(18, 0)}, {name: "errors_seen", typ: numberType(18, 0)},
	{name: "first_error", typ: textType(maxLength)}, {name: "first_error_line", typ: numberType(18, 0)},
	{name: "first_error_character", typ: numberType(18, 0)}, {name: "first_error_column_name", typ: textType(maxLength)},
}

func (s *session) copyInto(p *parser) (*result, error) {
	p.expect("INTO")
	name := p.name()
	c := &copyInto{table: s.relationOf("TABLE", name), metadata: map[string]string{}}
	s.ownSchema(name)
	s.need("INSERT", c.table)
	s.needWarehouse()
	p.expect("FROM")
	if p.is("(") {
		panic(notModelled("COPY INTO from a SELECT"))
	}
	st, below := s.at(p.stageName())
	s.copyOptions(p, c)
	p.end()
	if st.url == "" {
		s.need("READ", st)
	}
	if err := s.choose(c, st, below); err != nil {
		return nil, err
	}
	if len(c.files) == 0 {
		r := status("Copy executed with 0 files processed.")
		r.typeID = typeCopy
		return r, nil
	}
	return s.atomically(func(tx *transaction) (*result, error) { return s.load(tx, c) })
}

func (s *session) copyOptions(p *parser, c *copyInto) {
	vectorized, matched := false, false
	for p.peek().kind == kindWord {
		switch {
		case p.accept("FILES", "="):
			c.named = p.texts()
		case p.accept("FILE_FORMAT", "="):
			vectorized = p.fileFormat()
		case p.accept("MATCH_BY_COLUMN_NAME", "="):
			matched = true
			c.caseless = p.oneOf("CASE_SENSITIVE", "CASE_INSENSITIVE") == "CASE_INSENSITIVE"
		case p.accept("INCLUDE_METADATA", "="):
			c.metadata = p.metadata()
		case p.accept("ON_ERROR", "="):
			p.expect("ABORT_STATEMENT")
		case p.accept("FORCE", "="):
			c.force = p.boolean()
		default:
			p.expect("PURGE", "=", "FALSE")
		}
	}
	if len(c.named) > 1000 {
		panic(errorf(1003, "22023", "SQL compilation error:\nmaximum number of 1000 files exceeded in FILES"))
	}
	if !vectorized || !matched {
		panic(notModelled("COPY INTO without USE_VECTORIZED_SCANNER = TRUE and MATCH_BY_COLUMN_NAME"))
	}
	for column := range c.metadata {
		if find(c.table.columns, column) < 0 {
			panic(errorf(904, "42000", "SQL compilation error: invalid identifier '%s'", dotted(column)))
		}
	}
}

func (p *parser) texts() (all []string) {
	p.expect("(")
	for {
		all = append(all, p.str())
		if p.accept(")") {
			return all
		}
		p.expect(",")
	}
}

func (p *parser) fileFormat() (vectorized bool) {
	p.expect("(")
	parquet := false
	for !p.accept(")") {
		switch {
		case p.accept("TYPE", "="):
			p.accept("PARQUET")
			parquet = true
		case p.accept("USE_VECTORIZED_SCANNER", "="):
			vectorized = p.boolean()
		case p.accept("USE_LOGICAL_TYPE", "="):
			p.expect("TRUE")
		default:
			p.expect("BINARY_AS_TEXT", "=", "FALSE")
		}
		p.accept(",")
	}
	return vectorized && parquet
}

func (p *parser) metadata() map[string]string {
	all := map[string]string{}
	p.expect("(")
	for {
		column := p.ident()
		p.expect("=")
		all[column] = p.oneOf("METADATA$FILENAME", "METADATA$FILE_ROW_NUMBER")
		if p.accept(")") {
			return all
		}
		p.expect(",")
	}
}

// choose finds the files to load: those named, or all below the path; without
// FORCE, less those that were loaded before and did not change since.
//
// https://docs.snowflake.com/en/user-guide/data-load-considerations-load#load-metadata
func (s *session) choose(c *copyInto, st *stage, below string) error {
	found, err := s.list(st, below)
	if err != nil {
		return err
	}
	if c.named != nil {
		there := found
		found = nil
		for _, name := range c.named {
			i := slices.IndexFunc(there, func(f stagedFile) bool { return f.path == below+name })
			if i < 0 {
				return errorf(91016, "22000", "Remote file '%s%s' was not found. There are several potential causes. The file might not exist. The required credentials may be missing or invalid.", st.url, below+name)
			}
			found = append(found, there[i])
		}
	}
	c.files = slices.DeleteFunc(found, func(f stagedFile) bool { return !c.force && c.table.loaded[f.name] == f.version })
	return nil
}

// load inserts the files' rows. A value that is not of its column's type
// becomes NULL: types of Parquet are not validated.
func (s *session) load(tx *transaction, c *copyInto) (*result, error) {
	r := &result{columns: copyColumns, typeID: typeCopy}
	for _, f := range c.files {
		local, err := f.fetch(s.srv.dir)
		if err != nil {
			return nil, err
		}
		tx.onCommit = append(tx.onCommit, func() { c.table.loaded[f.name] = f.version })
		tx.files = append(tx.files, local)
		source, err := s.parquetColumns(local)
		if err != nil {
			return nil, errorf(100181, "22000", "Error reading the Parquet file '%s': %v", f.name, err)
		}
		n, err := tx.change(c.statement(f, local, source))
		if err != nil {
			return nil, err
		}
		r.changed += n
		count, zero, one, loaded := fmt.Sprint(n), "0", "1", "LOADED"
		r.rows = append(r.rows, []*string{&f.name, &loaded, &count, &count, &one, &zero, nil, nil, nil, nil})
	}
	return r, nil
}

// statement inserts one file's rows. Columns that only one side has are left
// out; columns of the table that the file lacks are NULL.
func (c *copyInto) statement(f stagedFile, local string, source []column) string {
	var names, values []string
	for _, col := range c.table.columns {
		value := "NULL"
		i := slices.IndexFunc(source, func(s column) bool {
			return s.name == col.name || c.caseless && strings.EqualFold(s.name, col.name)
		})
		switch {
		case c.metadata[col.name] == "METADATA$FILENAME":
			value = quoteText(f.key)
		case c.metadata[col.name] != "":
			value = "file_row_number"
		case i >= 0:
			value = convertParquet(source[i], col.typ)
		}
		names, values = append(names, encode(col.name)), append(values, value)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM read_parquet(%s, file_row_number = true)",
		c.table.duck, strings.Join(names, ", "), strings.Join(values, ", "), quoteText(local))
}

func convertParquet(from column, to dataType) string {
	name := `"` + strings.ReplaceAll(from.name, `"`, `""`) + `"`
	if from.typ.duck == "BLOB" && to.wire != "binary" {
		return "NULL" // without the text's logical type it is no text (BINARY_AS_TEXT is off)
	}
	if to.wire == "variant" && from.typ.wire == "text" {
		return "to_json(" + name + ")" // a text in a VARIANT is a text
	}
	return "TRY_CAST(" + name + " AS " + to.duck + ")"
}

func (s *session) parquetColumns(file string) ([]column, error) {
	r, err := s.duckRead("SELECT * FROM read_parquet("+quoteText(file)+") LIMIT 0", nil)
	if err != nil {
		return nil, err
	}
	rows, err := s.duckRead("SELECT name FROM (DESCRIBE SELECT * FROM read_parquet("+quoteText(file)+")) AS d(name, t, n, k, f, e)", nil)
	if err != nil {
		return nil, err
	}
	for i, row := range rows.rows {
		r.columns[i].name = *row[0] // as the file has it
	}
	return r.columns, nil
}

// removeFiles deletes the local copies when the transaction ended.
func (tx *transaction) removeFiles() {
	for _, file := range tx.files {
		os.Remove(file)
	}
}
