package snowflake

import (
	"slices"
	"time"
)

// grant is a privilege on an object, given to a role or a share of the account.
type grant struct {
	privilege string
	on        object
	role      string
	share     *share
	by        string
	created   time.Time
}

func (a *Account) find(privilege string, on object, role string, to *share) int {
	return slices.IndexFunc(a.grants, func(g *grant) bool {
		return g.privilege == privilege && g.on == on && g.role == role && g.share == to
	})
}

func (a *Account) grant(privilege string, on object, role string, to *share, by string) {
	if a.find(privilege, on, role, to) < 0 {
		a.grants = append(a.grants, &grant{privilege, on, role, to, by, a.srv.now()})
	}
}

func (a *Account) revoke(privilege string, on object, role string, from *share) {
	if i := a.find(privilege, on, role, from); i >= 0 {
		a.grants = slices.Delete(a.grants, i, i+1)
	}
}

// sees tells whether the role owns an object or has any privilege on it or on
// what is in it; otherwise it does not exist for the role.
func (s *session) sees(o object) bool {
	if s.role == accountAdmin || ownerOf(o) == s.role {
		return true
	}
	if db, ok := o.(*database); ok && db.from != nil {
		return s.may("IMPORTED PRIVILEGES", db)
	}
	return slices.ContainsFunc(s.account.grants, func(g *grant) bool { return g.on == o && g.share == nil && g.role == s.role })
}

// may tells whether the role has a privilege on an object.
func (s *session) may(privilege string, on object) bool {
	if s.role == accountAdmin || ownerOf(on) == s.role {
		return true
	}
	return s.account.find(privilege, on, s.role, nil) >= 0 || s.account.find("OWNERSHIP", on, s.role, nil) >= 0
}

// need refuses what the role may not do.
//
// https://docs.snowflake.com/en/user-guide/security-access-control-privileges
func (s *session) need(privilege string, on object) {
	if s.may(privilege, on) {
		return
	}
	kinds := map[string]string{"ACCOUNT": "account", "DATABASE": "database", "SCHEMA": "schema", "TABLE": "table", "VIEW": "view", "STAGE": "stage", "SHARE": "share"}
	name := on.fullName()
	switch o := on.(type) {
	case *schema:
		name = o.name
	case *relation:
		name = o.name
	case *stage:
		name = o.name
	}
	panic(denied(kinds[on.kindName()], name))
}

// needOwner refuses who does not own an object.
func (s *session) needOwner(on object) { s.need("OWNERSHIP", on) }

// privilegesOn are the modelled privileges of each kind of object.
var privilegesOn = map[string][]string{
	"ACCOUNT":  {"CREATE DATABASE", "CREATE SHARE", "CREATE DATA EXCHANGE LISTING", "MANAGE SHARE TARGET", "OVERRIDE SHARE RESTRICTIONS", "IMPORT SHARE"},
	"DATABASE": {"USAGE", "CREATE SCHEMA", "IMPORTED PRIVILEGES"},
	"SCHEMA":   {"USAGE", "CREATE TABLE", "CREATE VIEW", "CREATE STAGE"},
	"TABLE":    {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"},
	"VIEW":     {"SELECT"},
	"STAGE":    {"USAGE", "READ", "WRITE"},
}

// grantStatement runs GRANT and REVOKE.
//
// https://docs.snowflake.com/en/sql-reference/sql/grant-privilege
// https://docs.snowflake.com/en/sql-reference/sql/grant-privilege-share
func (s *session) grantStatement(p *parser, revoke bool) *result {
	privileges := p.privileges()
	p.expect("ON")
	on := s.grantable(p)
	p.expect(map[bool]string{false: "TO", true: "FROM"}[revoke])
	if p.accept("SHARE") {
		to := s.share(p.name())
		p.end()
		s.needOwner(to)
		for _, privilege := range privileges {
			s.grantToShare(privilege, on, to, revoke)
		}
		return status("Statement executed successfully.")
	}
	p.accept("ROLE")
	role := p.ident()
	p.end()
	if !s.account.roles[role] {
		panic(missing("Role", role))
	}
	s.needOwner(on)
	for _, privilege := range privileges {
		if !slices.Contains(privilegesOn[on.kindName()], privilege) {
			panic(errorf(3008, "42601", "SQL compilation error:\nInvalid privilege '%s' for object type '%s'.", privilege, on.kindName()))
		}
		if revoke {
			s.account.revoke(privilege, on, role, nil)
		} else {
			s.account.grant(privilege, on, role, nil, s.role)
		}
	}
	return status("Statement executed successfully.")
}

// privileges reads SELECT, CREATE TABLE, … up to ON.
func (p *parser) privileges() (all []string) {
	for {
		words := ""
		for !p.isOne("ON", ",") {
			t := p.next()
			if t.kind != kindWord {
				p.at--
				p.fail()
			}
			if words != "" {
				words += " "
			}
			words += t.text
		}
		all = append(all, words)
		if !p.accept(",") {
			return all
		}
	}
}

func (s *session) grantable(p *parser) object {
	switch p.oneOf("ACCOUNT", "DATABASE", "SCHEMA", "TABLE", "VIEW", "STAGE") {
	case "ACCOUNT":
		return s.account
	case "DATABASE":
		return s.database(p.ident())
	case "SCHEMA":
		return s.schemaOf(append(p.name(), ""))
	case "STAGE":
		return s.stage(p.name())
	case "TABLE":
		return s.relationOf("TABLE", p.name())
	}
	return s.relationOf("VIEW", p.name())
}

func (s *session) relationOf(kind string, name []string) *relation {
	r := s.relation(name)
	if r.kind != kind {
		panic(missing(map[string]string{"TABLE": "Table", "VIEW": "View"}[kind], dotted(name...)))
	}
	return r
}
