package snowflake

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// filter is LIKE and STARTS WITH of SHOW: LIKE does not mind the case.
type filter struct {
	like   *regexp.Regexp
	starts string
	limit  int
}

func (p *parser) like() (f filter) {
	if p.accept("LIKE") {
		pattern := regexp.QuoteMeta(p.str())
		pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "%", ".*"), "_", ".")
		f.like = regexp.MustCompile("(?is)^" + pattern + "$")
	}
	return f
}

// tail reads STARTS WITH and LIMIT, and ends the statement.
func (p *parser) tail(f *filter) {
	if p.accept("STARTS", "WITH") {
		f.starts = p.str()
	}
	if p.accept("LIMIT") {
		f.limit = p.number()
	}
	p.end()
}

// select gives the rows whose name, in the given column, fits.
func (f filter) rows(at int, all [][]any) (rows [][]any) {
	for _, row := range all {
		name, _ := row[at].(string)
		if strings.HasPrefix(name, f.starts) && (f.like == nil || f.like.MatchString(name)) && (f.limit == 0 || len(rows) < f.limit) {
			rows = append(rows, row)
		}
	}
	return rows
}

// show runs SHOW, with the real columns, less some that nobody reads.
//
// https://docs.snowflake.com/en/sql-reference/sql/show
func (s *session) show(p *parser) *result {
	switch p.oneOf("DATABASES", "SCHEMAS", "TABLES", "VIEWS", "STAGES", "SHARES", "GRANTS", "LISTINGS", "AVAILABLE", "WAREHOUSES", "PARAMETERS", "TRANSACTIONS") {
	case "DATABASES":
		return s.showDatabases(p)
	case "SCHEMAS":
		return s.showSchemas(p)
	case "TABLES":
		return s.showRelations(p, "TABLE")
	case "VIEWS":
		return s.showRelations(p, "VIEW")
	case "STAGES":
		return s.showStages(p)
	case "SHARES":
		return s.showShares(p)
	case "GRANTS":
		return s.showGrants(p)
	case "LISTINGS":
		return s.showListings(p)
	case "AVAILABLE":
		p.expect("LISTINGS")
		return s.showAvailable(p)
	case "WAREHOUSES":
		return s.showWarehouses(p)
	case "PARAMETERS":
		return s.showParameters(p)
	}
	return s.showTransactions(p)
}

func (s *session) showDatabases(p *parser) *result {
	f := p.like()
	p.tail(&f)
	var rows [][]any
	for _, name := range s.account.databaseNames() {
		db := s.account.databases[name]
		origin, kind := "", "STANDARD"
		if db.from != nil {
			origin, kind = dotted(db.from.account.Org, db.from.account.Name, db.from.name), "IMPORTED DATABASE"
		}
		if s.sees(db) {
			rows = append(rows, []any{db.created, db.name, "N", yesNo(name == s.db), origin, db.owner, db.comment, "", "1", kind})
		}
	}
	return table([]string{"created_on", "name", "is_default", "is_current", "origin", "owner", "comment", "options", "retention_time", "kind"}, f.rows(1, rows)...)
}

func yesNo(b bool) string { return map[bool]string{true: "Y", false: "N"}[b] }

// in reads [IN [ACCOUNT | DATABASE [name] | SCHEMA [name]]] and gives the
// schemas that are meant and that the session sees.
func (s *session) in(p *parser) []*schema {
	dbs := []string{s.db}
	if !p.accept("IN") {
		if s.db == "" {
			dbs = s.account.databaseNames()
		}
		return s.schemasOf(dbs)
	}
	switch {
	case p.accept("ACCOUNT"):
		return s.schemasOf(s.account.databaseNames())
	case p.accept("DATABASE"):
		if k := p.peek().kind; k == kindQuoted || k == kindWord && !p.is("STARTS") && !p.is("LIMIT") {
			dbs = []string{p.ident()}
		}
		s.database(dbs[0])
		return s.schemasOf(dbs)
	}
	p.accept("SCHEMA")
	return []*schema{s.schemaOf(append(p.name(), ""))}
}

func (s *session) schemasOf(dbs []string) (all []*schema) {
	for _, name := range dbs {
		db := s.account.databases[name]
		switch {
		case db == nil || !s.sees(db):
		case db.from != nil:
			if shared := db.from.database(); shared != nil {
				for _, schemaName := range slices.Sorted(maps.Keys(shared.schemas)) {
					if in := db.from.schema(schemaName); in != nil {
						all = append(all, in)
					}
				}
			}
		default:
			for _, schemaName := range slices.Sorted(maps.Keys(db.schemas)) {
				if s.sees(db.schemas[schemaName]) {
					all = append(all, db.schemas[schemaName])
				}
			}
		}
	}
	return all
}

// nameOf is a schema's database as the session names it: an imported one has
// the importer's name.
func (s *session) nameOf(db *database) string {
	if db.account == s.account {
		return db.name
	}
	for _, own := range s.account.databases {
		if own.from != nil && own.from.database() == db {
			return own.name
		}
	}
	return db.name
}

func (s *session) showSchemas(p *parser) *result {
	f := p.like()
	found := s.in(p)
	p.tail(&f)
	var rows [][]any
	for _, in := range found {
		rows = append(rows, []any{in.created, in.name, "N", yesNo(in.name == s.schema), s.nameOf(in.db), s.ownerShown(in.db, in.owner), in.comment, "", "1", "ROLE"})
	}
	return table([]string{"created_on", "name", "is_default", "is_current", "database_name", "owner", "comment", "options", "retention_time", "owner_role_type"}, f.rows(1, rows)...)
}

// ownerShown: consumers do not see the provider's roles.
func (s *session) ownerShown(db *database, owner string) string {
	if db.account != s.account {
		return ""
	}
	return owner
}

// visible tells whether the session sees a table or view: of a share's
// database, only what was granted.
func (s *session) visible(r *relation) bool {
	db := r.schema.db
	if db.account == s.account {
		return s.sees(r)
	}
	for _, own := range s.account.databases {
		if own.from != nil && own.from.database() == db && own.from.grants("SELECT", r) {
			return true
		}
	}
	return false
}

func (s *session) showRelations(p *parser, kind string) *result {
	f := p.like()
	found := s.in(p)
	p.tail(&f)
	var rows [][]any
	for _, in := range found {
		for _, name := range slices.Sorted(maps.Keys(in.relations)) {
			r := in.relations[name]
			if r.kind != kind || !s.visible(r) {
				continue
			}
			owner := s.ownerShown(in.db, r.owner)
			if kind == "VIEW" {
				text := r.viewDefinition()
				if r.secure && r.owner != s.role || owner == "" {
					text = "" // a secure view's definition is its owner's
				}
				rows = append(rows, []any{r.created, r.name, "", s.nameOf(in.db), in.name, owner, r.comment, text, boolText(r.secure), "false", "ROLE", "OFF"})
			} else {
				rows = append(rows, []any{r.created, r.name, s.nameOf(in.db), in.name, map[bool]string{true: "TRANSIENT", false: "TABLE"}[r.transient], r.comment, "", s.count(r), 1024, owner, r.retention, "OFF", "OFF", "N"})
			}
		}
	}
	if kind == "VIEW" {
		return table([]string{"created_on", "name", "reserved", "database_name", "schema_name", "owner", "comment", "text", "is_secure", "is_materialized", "owner_role_type", "change_tracking"}, f.rows(1, rows)...)
	}
	return table([]string{"created_on", "name", "database_name", "schema_name", "kind", "comment", "cluster_by", "rows", "bytes", "owner", "retention_time", "automatic_clustering", "change_tracking", "is_external"}, f.rows(1, rows)...)
}

func boolText(b bool) string { return map[bool]string{true: "true", false: "false"}[b] }

// count is the number of committed rows.
func (s *session) count(r *relation) int {
	n := 0
	_ = s.srv.admin.QueryRowContext(context.Background(), "SELECT count(*) FROM "+r.duck).Scan(&n) // a table that cannot be counted has no rows
	return n
}

func (s *session) showStages(p *parser) *result {
	f := p.like()
	found := s.in(p)
	p.tail(&f)
	var rows [][]any
	for _, in := range found {
		for _, name := range slices.Sorted(maps.Keys(in.stages)) {
			if st := in.stages[name]; in.db.account == s.account && s.sees(st) {
				rows = append(rows, []any{st.created, st.name, in.db.name, in.name, st.url, "N", "N", st.owner, st.comment, "", map[bool]string{true: "EXTERNAL", false: "INTERNAL"}[st.url != ""], st.integration})
			}
		}
	}
	return table([]string{"created_on", "name", "database_name", "schema_name", "url", "has_credentials", "has_encryption_key", "owner", "comment", "region", "type", "storage_integration"}, f.rows(1, rows)...)
}

func (s *session) showWarehouses(p *parser) *result {
	f := p.like()
	p.tail(&f)
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(s.account.warehouses)) {
		state := map[bool]string{true: "SUSPENDED", false: "STARTED"}[s.account.warehouses[name].suspended]
		rows = append(rows, []any{name, state, "STANDARD", "X-Small"})
	}
	return table([]string{"name", "state", "type", "size"}, f.rows(0, rows)...)
}

func (s *session) showParameters(p *parser) *result {
	f := p.like()
	p.accept("IN", "SESSION")
	p.tail(&f)
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(s.parameters)) {
		rows = append(rows, []any{name, s.parameters[name], sessionParameters[name], "", "", ""})
	}
	return table([]string{"key", "value", "default", "level", "description", "type"}, f.rows(0, rows)...)
}

// showTransactions follows https://docs.snowflake.com/en/sql-reference/sql/show-transactions
func (s *session) showTransactions(p *parser) *result {
	inAccount := p.accept("IN", "ACCOUNT")
	p.end()
	var rows [][]any
	for _, other := range s.srv.sessions {
		if other.tx != nil && other.account == s.account && (other.user == s.user || inAccount && s.role == accountAdmin) {
			rows = append(rows, []any{other.transactionID(), other.user.name, itoa(int(other.id)), other.transactionID(), other.tx.idle, "running", ""})
		}
	}
	return table([]string{"id", "user", "session", "name", "started_on", "state", "scope"}, rows...)
}

// desc runs DESCRIBE, after that word.
//
// https://docs.snowflake.com/en/sql-reference/sql/desc
func (s *session) desc(p *parser) *result {
	switch p.oneOf("TABLE", "VIEW", "SHARE", "LISTING") {
	case "SHARE":
		return s.descShare(p)
	case "LISTING":
		l := s.listing(p.ident())
		p.end()
		return table(listingColumns, l.row())
	case "TABLE":
		return s.descRelation(s.relation(p.name()), p)
	}
	return s.descRelation(s.relationOf("VIEW", p.name()), p)
}

func (s *session) descRelation(r *relation, p *parser) *result {
	p.end()
	var rows [][]any
	for _, c := range r.columns {
		comment := any(nil)
		if c.comment != "" {
			comment = c.comment
		}
		rows = append(rows, []any{c.name, c.typ.name, "COLUMN", yesNo(!c.notNull), nil, "N", "N", nil, nil, comment, nil})
	}
	return table([]string{"name", "type", "kind", "null?", "default", "primary key", "unique key", "check", "expression", "comment", "policy name"}, rows...)
}
