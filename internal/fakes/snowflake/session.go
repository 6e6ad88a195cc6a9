package snowflake

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const serverVersion = "10.5.2"

// session is what a login opens.
type session struct {
	srv           *Server
	id            int64
	token, master string
	expired       bool // the token; the master token renews it
	masterExpired bool
	closed        bool
	cut           bool // its client died: no request gets an answer
	account       *Account
	user          *user
	role          string
	warehouse     string
	db, schema    string
	parameters    map[string]string
	conn          *sql.Conn
	tx            *transaction
	running       *query
	queries       map[string]*query // by request id: a repeated request gets the first one's answer
	results       map[string]*result
	lastQuery     string
}

// sessionParameters are the modelled parameters and an account's defaults.
//
// https://docs.snowflake.com/en/sql-reference/parameters
var sessionParameters = map[string]string{
	"ABORT_DETACHED_QUERY": "false", "AUTOCOMMIT": "true", "CLIENT_RESULT_CHUNK_SIZE": "160", "CLIENT_SESSION_KEEP_ALIVE": "false",
	"CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": "3600", "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": "65280", "CLIENT_TELEMETRY_ENABLED": "false",
	"CLIENT_VALIDATE_DEFAULT_PARAMETERS": "false", "LOCK_TIMEOUT": "43200", "MULTI_STATEMENT_COUNT": "1", "QUERY_TAG": "",
	"STATEMENT_TIMEOUT_IN_SECONDS": "172800", "TIMEZONE": "America/Los_Angeles",
}

// setParameter changes a session's parameter; TIMEZONE is DuckDB's too.
func (s *session) setParameter(name, value string) error {
	name = strings.ToUpper(name)
	if _, known := sessionParameters[name]; !known {
		return invalidProperty(name, "SESSION")
	}
	s.parameters[name] = value
	if name != "TIMEZONE" {
		return nil
	}
	_, err := s.conn.ExecContext(context.Background(), "SET TimeZone = "+quoteText(value))
	return err
}

func (s *session) lockTimeout() time.Duration {
	seconds, _ := strconv.Atoi(s.parameters["LOCK_TIMEOUT"])
	return time.Duration(seconds) * time.Second
}

type parameter struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// wireParameters are the session's parameters as a reply carries them.
func (s *session) wireParameters() []parameter {
	all := make([]parameter, 0, len(s.parameters))
	for _, name := range slices.Sorted(maps.Keys(s.parameters)) {
		var value any = s.parameters[name]
		if b, err := strconv.ParseBool(s.parameters[name]); err == nil && strings.ContainsAny(s.parameters[name], "ae") {
			value = b
		} else if n, err := strconv.Atoi(s.parameters[name]); err == nil {
			value = n
		}
		all = append(all, parameter{name, value})
	}
	return all
}

// close ends a session: what is not committed is rolled back.
func (s *session) close() {
	if s.closed {
		return
	}
	s.rollback()
	s.closed = true
	s.conn.Close()
	s.srv.changed.Broadcast()
}

func (s *session) transactionID() string {
	if s.tx == nil {
		return ""
	}
	return strconv.FormatInt(s.tx.id, 10)
}

// needWarehouse refuses what needs a warehouse while none runs.
func (s *session) needWarehouse() {
	if w := s.account.warehouses[s.warehouse]; w == nil || w.suspended {
		panic(errorf(606, "57P03", "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."))
	}
}

// execute runs a statement's text.
func (s *session) execute(text string, binds []bind) (r *result, err error) {
	defer caught(&err)
	p, err := newParser(text, binds)
	if err != nil {
		return nil, err
	}
	p.accept(";")
	r, err = s.statement(p, nil)
	if err == nil && p.used < len(p.binds) && p.used > 0 {
		return nil, errorf(2049, "42601", "SQL compilation error:\n%d binds for %d ?", len(p.binds), p.used)
	}
	return r, err
}

// statement runs one statement, alone or in a scripting block.
func (s *session) statement(p *parser, vars *scope) (*result, error) {
	if t := p.peek(); t.kind == kindEnd {
		return nil, errorf(900, "42601", "SQL compilation error:\nEmpty SQL statement.")
	}
	if p.isOne("CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "TRUNCATE", "COMMENT") && !p.is("ALTER", "SESSION") {
		// A DDL statement commits the open transaction, and itself.
		// https://docs.snowflake.com/en/sql-reference/transactions#ddl
		if err := s.commit(); err != nil {
			return nil, err
		}
	}
	if s.tx != nil {
		s.tx.idle = s.srv.now()
	}
	switch {
	case p.isOne("SELECT", "WITH"):
		return s.query(p, vars)
	case p.accept("INSERT"):
		return s.insert(p, vars)
	case p.accept("UPDATE"):
		return s.update(p, vars)
	case p.accept("DELETE"):
		return s.remove(p, vars)
	case p.accept("MERGE"):
		return s.merge(p, vars)
	case p.accept("COPY"):
		return s.copyInto(p)
	case p.accept("PUT"):
		return s.put(p)
	case p.accept("CREATE"):
		return s.create(p)
	case p.accept("DROP"):
		return s.drop(p)
	case p.accept("TRUNCATE"):
		return s.truncate(p)
	case p.accept("LIST"), p.accept("LS"):
		return s.listStatement(p)
	case p.accept("REMOVE"), p.accept("RM"):
		return s.removeFiles(p)
	}
	return s.control(p, vars)
}

// control runs the statements that hold no data.
func (s *session) control(p *parser, vars *scope) (*result, error) {
	switch {
	case p.accept("GRANT"):
		return s.grantStatement(p, false), nil
	case p.accept("REVOKE"):
		return s.grantStatement(p, true), nil
	case p.accept("ALTER"):
		return s.alter(p)
	case p.accept("COMMENT"):
		return s.commentOn(p), nil
	case p.accept("SHOW"):
		return s.show(p), nil
	case p.accept("DESC"), p.accept("DESCRIBE"):
		return s.desc(p), nil
	case p.accept("USE"):
		return s.use(p), nil
	case p.accept("COMMIT"), p.accept("ROLLBACK"):
		return s.endTransaction(p)
	case p.accept("START", "TRANSACTION"), p.is("BEGIN") && s.beginsTransaction(p):
		p.end()
		r := status("Statement executed successfully.")
		r.typeID = typeTCL
		return r, s.begin()
	case vars == nil && p.isOne("BEGIN", "DECLARE"):
		return s.block(p)
	case vars == nil && p.accept("EXECUTE", "IMMEDIATE"):
		return s.immediate(p)
	}
	return nil, p.unexpected()
}

// beginsTransaction tells BEGIN [WORK | TRANSACTION] from a scripting block.
func (s *session) beginsTransaction(p *parser) bool {
	next := p.ahead(1)
	if next.text == "WORK" || next.text == "TRANSACTION" {
		p.at += 2
		return true
	}
	if next.kind == kindEnd || next.text == ";" && p.ahead(2).kind == kindEnd {
		p.at++
		return true
	}
	return false
}

func (s *session) endTransaction(p *parser) (*result, error) {
	word := p.tokens[p.at-1].text
	p.accept("WORK")
	p.end()
	r := status("Statement executed successfully.")
	r.typeID = typeTCL
	if word == "ROLLBACK" {
		s.rollback()
		return r, nil
	}
	return r, s.commit()
}

// use follows https://docs.snowflake.com/en/sql-reference/sql/use
func (s *session) use(p *parser) *result {
	switch what := p.oneOf("ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"); what {
	case "ROLE":
		role := p.ident()
		if role != s.user.role && role != "PUBLIC" && s.user.role != accountAdmin || !s.account.roles[role] {
			panic(errorf(3013, "42501", "SQL access control error:\nRequested role '%s' is not assigned to the executing user. Specify another role to activate.", role))
		}
		s.role = role
	case "WAREHOUSE":
		name := p.ident()
		if s.account.warehouses[name] == nil {
			panic(errorf(2043, "02000", "SQL compilation error:\nObject does not exist, or operation cannot be performed."))
		}
		s.warehouse = name
	case "DATABASE":
		s.db, s.schema = s.database(p.ident()).name, "PUBLIC"
	default:
		name := p.name()
		in := s.schemaOf(append(slices.Clone(name), ""))
		if s.schema = in.name; len(name) == 2 {
			s.db = name[0]
		}
	}
	p.end()
	return status("Statement executed successfully.")
}

// alter runs ALTER, after that word.
func (s *session) alter(p *parser) (*result, error) {
	switch {
	case p.accept("SHARE"):
		return s.alterShare(p), nil
	case p.accept("LISTING"):
		return s.alterListing(p), nil
	case p.accept("SESSION", "SET"):
		for p.peek().kind != kindEnd && !p.is(";") {
			name := p.ident()
			p.expect("=")
			if err := s.setParameter(name, strings.Trim(p.source([]token{p.next()}), "'")); err != nil {
				return nil, err
			}
		}
		p.end()
		return status("Statement executed successfully."), nil
	}
	return nil, p.unexpected()
}

// commentOn follows https://docs.snowflake.com/en/sql-reference/sql/comment
func (s *session) commentOn(p *parser) *result {
	p.expect("ON")
	if p.accept("SHARE") {
		sh := s.share(p.name())
		s.needOwner(sh)
		sh.comment = p.isText()
		return status("Statement executed successfully.")
	}
	on := s.grantable(p)
	s.needOwner(on)
	text := p.isText()
	switch o := on.(type) {
	case *database:
		o.comment = text
	case *schema:
		o.comment = text
	case *relation:
		o.comment = text
	case *stage:
		o.comment = text
	}
	return status("Statement executed successfully.")
}

func (p *parser) isText() string {
	p.expect("IS")
	text := p.str()
	p.end()
	return text
}
