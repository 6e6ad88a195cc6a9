package snowflake

import (
	"slices"
)

// query runs SELECT.
func (s *session) query(p *parser, vars *scope) (*result, error) {
	t := s.translator(p, vars)
	t.named = true
	sql := t.convert(";")
	p.end()
	if len(t.uses) > 0 {
		s.needWarehouse()
	}
	if s.tx != nil {
		s.tx.idle = s.srv.now()
		if err := s.tx.refresh(); err != nil {
			return nil, err
		}
	}
	r, err := s.duckQuery(sql)
	if err != nil && s.tx != nil {
		s.tx.seen = -1 // DuckDB's transaction may have ended by the error
	}
	return r, err
}

// target reads the table that a statement changes, and its alias.
func (t *translator) target(privilege string) (r *relation, text string) {
	name := t.name()
	r = t.s.relation(name)
	if t.s.ownSchema(name); r.kind != "TABLE" {
		panic(errorf(2003, "02000", "SQL compilation error:\nObject '%s' is not a table.", dotted(name...)))
	}
	t.s.need(privilege, r)
	t.s.needWarehouse()
	t.accept("AS")
	if k := t.peek().kind; k == kindQuoted || k == kindWord && !reserved[t.peek().text] {
		return r, r.duck + " AS " + encode(t.ident())
	}
	return r, r.duck
}

// insert follows https://docs.snowflake.com/en/sql-reference/sql/insert
func (s *session) insert(p *parser, vars *scope) (*result, error) {
	t := s.translator(p, vars)
	p.expect("INTO")
	r, text := t.target("INSERT")
	if p.is("(") && !p.is("(", "SELECT") {
		p.expect("(")
		text += t.columns(r)
	}
	if p.is("VALUES") {
		t.refuseInValues()
	} else if !p.isOne("SELECT", "WITH", "(") {
		p.fail()
	}
	sql := "INSERT INTO " + text + " " + t.convert(";")
	p.end()
	return s.atomically(func(tx *transaction) (*result, error) {
		n, err := tx.change(sql)
		return counted(typeInsert, n, []string{"number of rows inserted"}, n), err
	})
}

// columns reads a list of columns that a table must have.
func (t *translator) columns(r *relation) string {
	out := " ("
	for {
		name := t.ident()
		if find(r.columns, name) < 0 {
			panic(errorf(904, "42000", "SQL compilation error: error line 1 at position %d\ninvalid identifier '%s'", t.tokens[t.at-1].pos, dotted(name)))
		}
		out += encode(name)
		if t.accept(")") {
			return out + ")"
		}
		t.expect(",")
		out += ", "
	}
}

// refuseInValues: VALUES takes constants and simple functions.
//
// https://docs.snowflake.com/en/sql-reference/sql/insert#usage-notes
func (t *translator) refuseInValues() {
	for _, token := range t.tokens[t.at:] {
		if token.kind == kindWord && slices.Contains([]string{"PARSE_JSON", "TRY_PARSE_JSON", "TO_VARIANT"}, token.text) {
			panic(errorf(2014, "22000", "SQL compilation error:\nInvalid expression [%s] in VALUES clause", token.text))
		}
	}
}

// update follows https://docs.snowflake.com/en/sql-reference/sql/update
func (s *session) update(p *parser, vars *scope) (*result, error) {
	t := s.translator(p, vars)
	r, text := t.target("UPDATE")
	if !p.is("SET") {
		p.fail()
	}
	sql := "UPDATE " + text + " " + t.convert(";")
	p.end()
	return s.locked(r, sql, func(n int) *result {
		return counted(typeUpdate, n, []string{"number of rows updated", "number of multi-joined rows updated"}, n, 0)
	})
}

// remove follows https://docs.snowflake.com/en/sql-reference/sql/delete; the
// table's load history stays.
func (s *session) remove(p *parser, vars *scope) (*result, error) {
	t := s.translator(p, vars)
	p.expect("FROM")
	r, text := t.target("DELETE")
	if !p.isOne("WHERE", "USING", ";") && p.peek().kind != kindEnd {
		p.fail()
	}
	sql := "DELETE FROM " + text + " " + t.convert(";")
	p.end()
	return s.locked(r, sql, func(n int) *result {
		return counted(typeDelete, n, []string{"number of rows deleted"}, n)
	})
}

// locked runs a change that holds the table's lock until its transaction ends.
func (s *session) locked(r *relation, sql string, done func(int) *result) (*result, error) {
	return s.atomically(func(tx *transaction) (*result, error) {
		if err := tx.lock(r); err != nil {
			return nil, err
		}
		n, err := tx.change(sql)
		if err != nil {
			return nil, err
		}
		return done(n), nil
	})
}

// merge follows https://docs.snowflake.com/en/sql-reference/sql/merge
func (s *session) merge(p *parser, vars *scope) (*result, error) {
	t := s.translator(p, vars)
	p.expect("INTO")
	r, text := t.target("INSERT")
	if !p.is("USING") {
		p.fail()
	}
	from := p.at
	sql := "MERGE INTO " + text + " " + t.convert(";") + " RETURNING merge_action"
	p.end()
	var names, actions []string
	for i, token := range p.tokens[from:] {
		action := map[string]string{"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}[token.text]
		if token.kind == kindWord && action != "" && p.tokens[from+i-1].text == "THEN" && !slices.Contains(actions, token.text) {
			s.need(token.text, r)
			names, actions = append(names, "number of rows "+action), append(actions, token.text)
		}
	}
	return s.atomically(func(tx *transaction) (*result, error) {
		if err := tx.lock(r); err != nil {
			return nil, err
		}
		if err := tx.refresh(); err != nil {
			return nil, err
		}
		done, err := s.duckQuery(sql)
		if err != nil {
			return nil, err
		}
		tx.writes = append(tx.writes, sql)
		counts := make([]int, len(actions))
		for _, row := range done.rows {
			counts[slices.Index(actions, *row[0])]++
		}
		return counted(typeMerge, len(done.rows), names, counts...), nil
	})
}

// truncate follows https://docs.snowflake.com/en/sql-reference/sql/truncate-table:
// it forgets which files were loaded.
func (s *session) truncate(p *parser) (*result, error) {
	p.accept("TABLE")
	ifExists, name := p.ifExists(), p.name()
	p.end()
	if ifExists && s.lookup(name) == nil {
		return status("Statement executed successfully."), nil
	}
	r := s.relationOf("TABLE", name)
	s.ownSchema(name)
	s.need("TRUNCATE", r)
	_, err := s.locked(r, "DELETE FROM "+r.duck, func(int) *result { return nil })
	if err != nil {
		return nil, err
	}
	r.loaded = map[string]string{}
	return status("Statement executed successfully."), nil
}

// lookup finds what is there, whether the role sees it or not.
func (s *session) lookup(name []string) *relation {
	return s.schemaOf(name).relations[name[len(name)-1]]
}
