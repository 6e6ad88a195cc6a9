package snowflake

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// object is whatever privileges are granted on.
type object interface {
	kindName() string // as SHOW GRANTS writes it
	fullName() string
}

type database struct {
	account *Account
	name    string
	comment string
	owner   string
	created time.Time
	schemas map[string]*schema
	from    *share // of an imported database, which has no schemas of its own
}

type schema struct {
	db        *database
	name      string
	comment   string
	owner     string
	created   time.Time
	relations map[string]*relation // tables and views have one name space
	stages    map[string]*stage
	duck      string // DuckDB's schema, quoted
}

type relation struct {
	schema    *schema
	name      string
	kind      string // TABLE or VIEW
	comment   string
	owner     string
	created   time.Time
	columns   []column
	transient bool
	retention string
	secure    bool
	text      string      // a view's statement
	uses      []*relation // what a view reads
	duck      string      // schema.name in DuckDB, quoted

	loaded  map[string]string // load history: file → what it was
	holder  *transaction      // who has the lock
	waiters int
}

type stage struct {
	schema      *schema
	name        string
	comment     string
	owner       string
	created     time.Time
	url         string // of an external stage
	integration string
	dir         string // of an internal stage
}

func (a *Account) kindName() string  { return "ACCOUNT" }
func (a *Account) fullName() string  { return a.Name }
func (d *database) kindName() string { return "DATABASE" }
func (d *database) fullName() string { return dotted(d.name) }
func (s *schema) kindName() string   { return "SCHEMA" }
func (s *schema) fullName() string   { return dotted(s.db.name, s.name) }
func (r *relation) kindName() string { return r.kind }
func (r *relation) fullName() string { return dotted(r.schema.db.name, r.schema.name, r.name) }
func (s *stage) kindName() string    { return "STAGE" }
func (s *stage) fullName() string    { return dotted(s.schema.db.name, s.schema.name, s.name) }

func ownerOf(o object) string {
	switch o := o.(type) {
	case *database:
		return o.owner
	case *schema:
		return o.owner
	case *relation:
		return o.owner
	case *stage:
		return o.owner
	case *share:
		return o.owner
	}
	return accountAdmin
}

// addSchema makes a schema, and DuckDB's schema behind it.
func (s *session) addSchema(db *database, name, comment string) error {
	s.srv.ids++
	made := &schema{
		db: db, name: name, comment: comment, owner: s.role, created: s.srv.now(),
		relations: map[string]*relation{}, stages: map[string]*stage{}, duck: fmt.Sprintf(`"s%d"`, s.srv.ids),
	}
	if err := s.define("CREATE SCHEMA " + made.duck); err != nil {
		return err
	}
	db.schemas[name] = made
	return nil
}

// database finds a database that the role can see.
func (s *session) database(name string) *database {
	db := s.account.databases[name]
	if db == nil || !s.sees(db) {
		panic(missing("Database", dotted(name)))
	}
	return db
}

// schemaOf finds the schema that a name of the given length is in; the last
// part is the object's own name.
func (s *session) schemaOf(name []string) *schema {
	dbName, schemaName := s.db, s.schema
	switch len(name) {
	case 3:
		dbName, schemaName = name[0], name[1]
	case 2:
		schemaName = name[0]
	}
	if dbName == "" || schemaName == "" {
		panic(errorf(90105, "22000", "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE', or use a qualified name."))
	}
	db := s.account.databases[dbName]
	if db == nil || !s.sees(db) {
		panic(missing("Database", dotted(dbName)))
	}
	return s.schemaIn(db, schemaName)
}

func (s *session) schemaIn(db *database, name string) *schema {
	found := db.schemas[name]
	if db.from != nil {
		found = db.from.schema(name)
	}
	if found == nil || db.from == nil && !s.sees(found) {
		panic(missing("Schema", dotted(db.name, name)))
	}
	return found
}

// relation finds a table or a view that the role has any privilege on; in an
// imported database, what its share grants.
func (s *session) relation(name []string) *relation {
	in := s.schemaOf(name)
	r := in.relations[name[len(name)-1]]
	if in.db.account != s.account {
		if r == nil || !s.importedFrom(name).grants("SELECT", r) {
			r = nil
		}
	} else if r != nil && !s.sees(r) {
		r = nil
	}
	if r == nil {
		panic(missing("Object", dotted(name...)))
	}
	return r
}

// importedFrom is the share that a name's database was imported from.
func (s *session) importedFrom(name []string) *share {
	dbName := s.db
	if len(name) == 3 {
		dbName = name[0]
	}
	return s.account.databases[dbName].from
}

// ownSchema is schemaOf for what changes it; imported databases are read-only.
func (s *session) ownSchema(name []string) *schema {
	in := s.schemaOf(name)
	if in.db.account != s.account {
		panic(errorf(3540, "42501", "SQL execution error: Creating or changing objects in a shared database is not allowed"))
	}
	return in
}

func (s *session) stage(name []string) *stage {
	in := s.schemaOf(name)
	st := in.stages[name[len(name)-1]]
	if st == nil || in.db.account != s.account || !s.sees(st) {
		panic(missing("Stage", dotted(name...)))
	}
	return st
}

// drop forgets what is granted on an object.
func (a *Account) drop(objects ...object) {
	for _, o := range objects {
		a.grants = slices.DeleteFunc(a.grants, func(g *grant) bool { return g.on == o })
	}
}

func (d *database) objects() []object {
	all := []object{d}
	for _, name := range slices.Sorted(maps.Keys(d.schemas)) {
		all = append(all, d.schemas[name].objects()...)
	}
	return all
}

func (s *schema) objects() []object {
	all := []object{s}
	for _, name := range slices.Sorted(maps.Keys(s.relations)) {
		all = append(all, s.relations[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.stages)) {
		all = append(all, s.stages[name])
	}
	return all
}

// viewDefinition is the statement that made a view, for its owner.
func (r *relation) viewDefinition() string { return strings.TrimSpace(r.text) }
