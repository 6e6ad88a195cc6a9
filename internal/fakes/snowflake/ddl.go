package snowflake

import (
	"maps"
	"slices"
	"strings"
)

// create runs CREATE, after that word.
func (s *session) create(p *parser) (*result, error) {
	replace := p.accept("OR", "REPLACE")
	if p.isOne("EXTERNAL", "LISTING") && !replace {
		return s.createListing(p), nil
	}
	if !replace && p.accept("SHARE") {
		return s.createShare(p), nil
	}
	switch {
	case !replace && p.accept("DATABASE"):
		return s.createDatabase(p)
	case !replace && p.accept("SCHEMA"):
		return s.createSchema(p)
	case p.accept("STAGE"):
		return s.createStage(p, replace)
	case p.accept("SECURE", "VIEW"):
		return s.createView(p, replace, true)
	case p.accept("VIEW"):
		return s.createView(p, replace, false)
	case p.accept("TRANSIENT", "TABLE"):
		return s.createTable(p, replace, true)
	case p.accept("TABLE"):
		return s.createTable(p, replace, false)
	}
	return nil, p.unexpected()
}

// createDatabase follows https://docs.snowflake.com/en/sql-reference/sql/create-database
func (s *session) createDatabase(p *parser) (*result, error) {
	unlessExists, name := p.ifNotExists(), p.ident()
	if p.accept("FROM") {
		return s.importDatabase(name, p), nil
	}
	comment := ""
	s.properties(p, &comment)
	p.end()
	if s.account.databases[name] != nil {
		if unlessExists {
			return status("%s already exists, statement succeeded.", name), nil
		}
		panic(exists(name))
	}
	s.need("CREATE DATABASE", s.account)
	made := &database{account: s.account, name: name, comment: comment, owner: s.role, created: s.srv.now(), schemas: map[string]*schema{}}
	if err := s.addSchema(made, "PUBLIC", ""); err != nil {
		return nil, err
	}
	s.account.databases[name] = made
	s.db, s.schema = name, "PUBLIC"
	return status("Database %s successfully created.", name), nil
}

// properties reads COMMENT and DATA_RETENTION_TIME_IN_DAYS, in any order.
func (s *session) properties(p *parser, comment *string) (retention string) {
	retention = "1"
	for {
		switch {
		case p.comment(comment):
		case p.accept("DATA_RETENTION_TIME_IN_DAYS", "="):
			retention = itoa(p.number())
		default:
			return retention
		}
	}
}

// createSchema follows https://docs.snowflake.com/en/sql-reference/sql/create-schema
func (s *session) createSchema(p *parser) (*result, error) {
	unlessExists, name := p.ifNotExists(), p.name()
	comment := ""
	p.accept("WITH", "MANAGED", "ACCESS")
	s.properties(p, &comment)
	p.end()
	if len(name) == 1 {
		name = []string{s.db, name[0]}
	}
	db := s.database(name[0])
	if db.from != nil {
		panic(errorf(3540, "42501", "SQL execution error: Creating objects in a shared database is not allowed"))
	}
	if db.schemas[name[1]] != nil {
		if unlessExists {
			return status("%s already exists, statement succeeded.", name[1]), nil
		}
		panic(exists(name[1]))
	}
	s.need("CREATE SCHEMA", db)
	if err := s.addSchema(db, name[1], comment); err != nil {
		return nil, err
	}
	s.db, s.schema = db.name, name[1]
	return status("Schema %s successfully created.", name[1]), nil
}

// createTable follows https://docs.snowflake.com/en/sql-reference/sql/create-table
func (s *session) createTable(p *parser, replace, transient bool) (*result, error) {
	unlessExists, name := p.ifNotExists(), p.name()
	made := &relation{kind: "TABLE", name: name[len(name)-1], owner: s.role, created: s.srv.now(), transient: transient, loaded: map[string]string{}}
	p.expect("(")
	for {
		c := column{name: p.ident()}
		c.typ = p.dataType()
		for !p.isOne(",", ")") {
			switch {
			case p.accept("NOT", "NULL"):
				c.notNull = true
			case !p.comment(&c.comment):
				p.fail()
			}
		}
		if find(made.columns, c.name) >= 0 {
			panic(errorf(2025, "42S21", "SQL compilation error:\nduplicate column name '%s'", c.name))
		}
		made.columns = append(made.columns, c)
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	made.retention = s.properties(p, &made.comment)
	p.end()
	return s.place(made, name, replace, unlessExists, "CREATE TABLE", func() string {
		defs := make([]string, len(made.columns))
		for i, c := range made.columns {
			if defs[i] = encode(c.name) + " " + c.typ.duck; c.notNull {
				defs[i] += " NOT NULL"
			}
		}
		return "CREATE TABLE " + made.duck + " (" + strings.Join(defs, ", ") + ")"
	})
}

// createView follows https://docs.snowflake.com/en/sql-reference/sql/create-view.
// A view that is replaced without COPY GRANTS has no grants, to roles or shares.
func (s *session) createView(p *parser, replace, secure bool) (*result, error) {
	unlessExists, name := p.ifNotExists(), p.name()
	made := &relation{kind: "VIEW", name: name[len(name)-1], owner: s.role, created: s.srv.now(), secure: secure, text: p.sql}
	copyGrants := false
	for !p.is("AS") {
		switch {
		case p.accept("COPY", "GRANTS"):
			copyGrants = true
		case !p.comment(&made.comment):
			p.fail()
		}
	}
	p.expect("AS")
	if !p.isOne("SELECT", "WITH") {
		p.fail()
	}
	t := s.translator(p, nil)
	t.named, t.inView = true, true
	query := t.convert(";")
	p.end()
	made.uses = slices.Collect(maps.Keys(t.uses))
	replaced := s.lookup(name)
	done, err := s.place(made, name, replace, unlessExists, "CREATE VIEW", func() string { return "CREATE VIEW " + made.duck + " AS " + query })
	if err != nil || made.schema == nil {
		return done, err
	}
	if replaced != nil {
		s.handOver(replaced, made, copyGrants)
	}
	made.columns, err = s.describe(made)
	return done, err
}

// handOver keeps or drops what was granted on a view that was replaced.
func (s *session) handOver(from, to *relation, keep bool) {
	if !keep {
		s.account.drop(from)
		return
	}
	for _, g := range s.account.grants {
		if g.on == from {
			g.on = to
		}
	}
}

// describe asks DuckDB for the columns of a view.
func (s *session) describe(r *relation) ([]column, error) {
	found, err := s.duckRead("SELECT * FROM "+r.duck+" LIMIT 0", nil)
	if err != nil {
		return nil, err
	}
	return found.columns, nil
}

// place puts a new table or view where its name says; made.schema stays nil
// where there is one already, which is kept.
func (s *session) place(made *relation, name []string, replace, unlessExists bool, privilege string, define func() string) (*result, error) {
	in := s.ownSchema(name)
	there := in.relations[made.name]
	kind := strings.ToUpper(made.kind[:1]) + strings.ToLower(made.kind[1:])
	if there != nil && !replace {
		if unlessExists {
			return status("%s already exists, statement succeeded.", made.name), nil
		}
		panic(exists(made.name))
	}
	s.need(privilege, in)
	made.duck = in.duck + "." + encode(made.name)
	if there != nil {
		if there.kind != made.kind {
			panic(exists(made.name))
		}
		s.needOwner(there)
		if err := s.replaceable(there, made, define()); err != nil {
			return nil, err
		}
	}
	if err := s.define(define()); err != nil {
		return nil, err
	}
	made.schema = in
	in.relations[made.name] = made
	if there != nil && made.kind == "TABLE" {
		s.account.drop(there)
	}
	return status("%s %s successfully created.", kind, made.name), nil
}

// replaceable removes what is replaced, once the new one is known to be good.
func (s *session) replaceable(there, made *relation, definition string) error {
	s.srv.ids++
	trial := there.schema.duck + `."trial ` + itoa(int(s.srv.ids)) + `"`
	if err := s.define(strings.Replace(definition, made.duck, trial, 1)); err != nil {
		return err
	}
	if err := s.define("DROP " + made.kind + " " + trial); err != nil {
		return err
	}
	return s.define("DROP " + there.kind + " " + there.duck)
}

// dropRelation follows https://docs.snowflake.com/en/sql-reference/sql/drop-table
func (s *session) dropRelation(p *parser, kind string) (*result, error) {
	ifExists, name := p.ifExists(), p.name()
	p.end()
	in := s.ownSchema(name)
	found := in.relations[name[len(name)-1]]
	if ifExists && found == nil {
		return status("Drop statement executed successfully (%s already dropped).", name[len(name)-1]), nil
	}
	found = s.relationOf(kind, name)
	s.needOwner(found)
	if err := s.define("DROP " + kind + " " + found.duck); err != nil {
		return nil, err
	}
	delete(in.relations, found.name)
	s.account.drop(found)
	return status("%s successfully dropped.", found.name), nil
}

// drop runs DROP, after that word.
func (s *session) drop(p *parser) (*result, error) {
	switch p.oneOf("TABLE", "VIEW", "SCHEMA", "DATABASE", "STAGE", "SHARE", "LISTING") {
	case "TABLE":
		return s.dropRelation(p, "TABLE")
	case "VIEW":
		return s.dropRelation(p, "VIEW")
	case "SHARE":
		return s.dropShare(p), nil
	case "LISTING":
		return s.dropListing(p), nil
	case "STAGE":
		return s.dropStage(p), nil
	case "SCHEMA":
		return s.dropSchema(p)
	}
	return s.dropDatabase(p)
}

func (s *session) dropSchema(p *parser) (*result, error) {
	ifExists, name := p.ifExists(), p.name()
	p.accept("CASCADE")
	p.end()
	if len(name) == 1 {
		name = []string{s.db, name[0]}
	}
	db := s.database(name[0])
	found := db.schemas[name[1]]
	if ifExists && found == nil {
		return status("Drop statement executed successfully (%s already dropped).", name[1]), nil
	}
	found = s.schemaIn(db, name[1])
	s.needOwner(found)
	if err := s.define("DROP SCHEMA " + found.duck + " CASCADE"); err != nil {
		return nil, err
	}
	delete(db.schemas, found.name)
	s.account.drop(found.objects()...)
	return status("%s successfully dropped.", found.name), nil
}

func (s *session) dropDatabase(p *parser) (*result, error) {
	ifExists, name := p.ifExists(), p.ident()
	p.accept("CASCADE")
	p.end()
	if ifExists && s.account.databases[name] == nil {
		return status("Drop statement executed successfully (%s already dropped).", name), nil
	}
	found := s.database(name)
	s.needOwner(found)
	for _, sh := range s.account.shares {
		if sh.database() == found && (len(sh.accounts) > 0 || sh.listing != nil && sh.listing.published) {
			panic(errorf(3540, "42501", "SQL execution error: Cannot drop database %s, which share %s shows to other accounts", name, sh.name))
		}
	}
	for _, in := range found.schemas {
		if err := s.define("DROP SCHEMA " + in.duck + " CASCADE"); err != nil {
			return nil, err
		}
	}
	delete(s.account.databases, name)
	s.account.drop(found.objects()...)
	return status("%s successfully dropped.", name), nil
}
