package snowflake

import (
	"slices"
	"strings"
	"time"
)

// share is what a provider shows to other accounts.
//
// https://docs.snowflake.com/en/user-guide/data-sharing-provider
type share struct {
	account  *Account
	name     string
	comment  string
	owner    string
	created  time.Time
	accounts []*Account
	listing  *listing // what it is offered by, instead of accounts
}

func (sh *share) kindName() string { return "SHARE" }
func (sh *share) fullName() string { return dotted(sh.name) }

func (sh *share) granted() []*grant {
	var all []*grant
	for _, g := range sh.account.grants {
		if g.share == sh {
			all = append(all, g)
		}
	}
	return all
}

// database is the one whose USAGE the share was granted.
func (sh *share) database() *database {
	for _, g := range sh.granted() {
		if db, ok := g.on.(*database); ok {
			return db
		}
	}
	return nil
}

// grants tells whether a consumer has a privilege on an object: it takes USAGE
// on its database and its schema as well.
func (sh *share) grants(privilege string, r *relation) bool {
	a := sh.account
	return a.find("USAGE", r.schema.db, "", sh) >= 0 && a.find("USAGE", r.schema, "", sh) >= 0 && a.find(privilege, r, "", sh) >= 0
}

// schema is a schema as consumers see it.
func (sh *share) schema(name string) *schema {
	db := sh.database()
	if db == nil || db.schemas[name] == nil || sh.account.find("USAGE", db.schemas[name], "", sh) < 0 {
		return nil
	}
	return db.schemas[name]
}

// reaches tells whether an account may import the share.
func (sh *share) reaches(a *Account) bool {
	if sh.listing != nil && sh.listing.published {
		return slices.Contains(sh.listing.targets, a)
	}
	return slices.Contains(sh.accounts, a)
}

func (s *session) share(name []string) *share {
	found := s.account.shares[name[len(name)-1]]
	if len(name) > 1 || found == nil || !s.sees(found) {
		panic(missing("Share", dotted(name...)))
	}
	return found
}

// createShare follows https://docs.snowflake.com/en/sql-reference/sql/create-share
func (s *session) createShare(p *parser) *result {
	unlessExists := p.ifNotExists()
	made := &share{account: s.account, name: p.ident(), owner: s.role, created: s.srv.now()}
	p.comment(&made.comment)
	p.end()
	s.need("CREATE SHARE", s.account)
	if s.account.shares[made.name] != nil {
		if unlessExists {
			return status("%s already exists, statement succeeded.", made.name)
		}
		panic(exists(made.name))
	}
	s.account.shares[made.name] = made
	return status("Share %s successfully created.", made.name)
}

func (s *session) dropShare(p *parser) *result {
	ifExists, name := p.ifExists(), p.ident()
	p.end()
	found := s.account.shares[name]
	if found == nil && ifExists {
		return status("Drop statement executed successfully (%s already dropped).", name)
	}
	found = s.share([]string{name})
	s.needOwner(found)
	if found.listing != nil {
		panic(errorf(3540, "42501", "SQL execution error: Share %s cannot be dropped while the listing %s is attached to it", name, found.listing.name))
	}
	for _, g := range found.granted() {
		s.account.revoke(g.privilege, g.on, "", found)
	}
	delete(s.account.shares, name)
	s.account.drop(found)
	return status("%s successfully dropped.", name)
}

// alterShare follows https://docs.snowflake.com/en/sql-reference/sql/alter-share
func (s *session) alterShare(p *parser) *result {
	p.ifExists()
	changed := s.share([]string{p.ident()})
	verb := p.oneOf("ADD", "REMOVE", "SET")
	if comment := ""; verb == "SET" && p.comment(&comment) {
		p.end()
		s.needOwner(changed)
		changed.comment = comment
		return status("Statement executed successfully.")
	}
	p.expect("ACCOUNTS", "=")
	names := [][]string{p.name()}
	for p.accept(",") {
		names = append(names, p.name())
	}
	restricted := true
	if p.accept("SHARE_RESTRICTIONS") {
		p.expect("=")
		if verb == "SET" {
			panic(invalidProperty("SHARE_RESTRICTIONS", "SHARE"))
		}
		restricted = p.boolean()
	}
	p.end()
	s.changeAccounts(changed, verb, names, restricted)
	return status("Statement executed successfully.")
}

func (s *session) changeAccounts(changed *share, verb string, names [][]string, restricted bool) {
	s.needOwner(changed)
	s.need("MANAGE SHARE TARGET", s.account)
	if len(names) > 10 {
		panic(errorf(3517, "0A000", "SQL compilation error:\nNo more than 10 accounts can be added or removed in one statement."))
	}
	if verb == "REMOVE" {
		changed.accounts = slices.DeleteFunc(changed.accounts, func(a *Account) bool {
			return slices.ContainsFunc(names, func(name []string) bool { return s.account.target(name) == a })
		})
		return
	}
	if !restricted {
		s.need("OVERRIDE SHARE RESTRICTIONS", s.account)
	}
	added := s.addable(changed, names, restricted)
	if verb == "SET" {
		changed.accounts = nil
	}
	for _, a := range added {
		if !slices.Contains(changed.accounts, a) {
			changed.accounts = append(changed.accounts, a)
		}
	}
}

// addable checks the accounts that a share is to be shown to.
func (s *session) addable(changed *share, names [][]string, restricted bool) (all []*Account) {
	if changed.database() == nil {
		panic(errorf(3512, "0A000", "SQL compilation error:\nAccounts cannot be added to share '%s' before a database is granted to it.", changed.name))
	}
	if changed.listing != nil {
		panic(errorf(3541, "0A000", "SQL compilation error:\nAccounts cannot be added to share '%s', which is attached to a listing.", changed.name))
	}
	var refused []string
	for _, name := range names {
		if a := s.account.target(name); a != nil && a != s.account {
			all = append(all, a)
		} else {
			refused = append(refused, strings.Join(name, "."))
		}
	}
	if refused != nil {
		// One sentence for an unknown name, another region and a wrong identifier.
		panic(errorf(2013, "42601", "SQL compilation error:\nFollowing accounts cannot be added to this share: %s.", strings.Join(refused, ", ")))
	}
	for _, a := range all {
		if restricted && s.account.Edition == BusinessCritical && a.Edition < BusinessCritical {
			panic(errorf(3543, "0A000", "SQL execution error: Sharing is not allowed from an account on BUSINESS CRITICAL edition to an account on a lower edition."))
		}
	}
	return all
}

// target finds an account in the same region by ORG.NAME or by its locator.
func (a *Account) target(name []string) *Account {
	for _, other := range a.srv.accounts {
		named := len(name) == 2 && name[0] == other.Org && name[1] == other.Name
		located := len(name) == 1 && name[0] == other.Locator
		if (named || located) && other.Region == a.Region {
			return other
		}
	}
	return nil
}

// grantToShare gives a share a privilege on an object, or takes it.
//
// https://docs.snowflake.com/en/sql-reference/sql/grant-privilege-share
func (s *session) grantToShare(privilege string, on object, to *share, revoke bool) {
	if revoke {
		s.account.revoke(privilege, on, "", to)
		return
	}
	s.needOwner(on)
	switch o := on.(type) {
	case *database:
		if shared := to.database(); privilege == "USAGE" && shared != nil && shared != o {
			panic(errorf(3516, "0A000", "SQL compilation error:\nDatabase '%s' does not belong to the database that is being shared.", o.name))
		}
	case *schema:
		s.needShared(to, o.db)
	case *relation:
		s.needShared(to, o.schema.db)
		s.needShareable(o)
	}
	if want := map[string]string{"DATABASE": "USAGE", "SCHEMA": "USAGE", "TABLE": "SELECT", "VIEW": "SELECT"}[on.kindName()]; privilege != want {
		panic(errorf(3008, "42601", "SQL compilation error:\nInvalid privilege '%s' for object type '%s' granted to a share.", privilege, on.kindName()))
	}
	s.account.grant(privilege, on, "", to, s.role)
}

func (s *session) needShared(to *share, db *database) {
	if to.database() != db {
		panic(errorf(3516, "0A000", "SQL compilation error:\nDatabase '%s' does not belong to the database that is being shared.", db.name))
	}
}

// needShareable: shares carry secure views of their own database alone.
//
// https://docs.snowflake.com/en/user-guide/data-sharing-secure-views
func (s *session) needShareable(r *relation) {
	if r.kind != "VIEW" {
		return
	}
	if !r.secure {
		panic(errorf(3046, "0A000", "SQL compilation error:\nNon-secure object can only be granted to shares with \"secure_objects_only\" property set to false."))
	}
	if slices.ContainsFunc(r.uses, func(other *relation) bool { return other.schema.db != r.schema.db }) {
		panic(errorf(3050, "0A000", "SQL compilation error:\nA view or function being shared cannot reference objects from other databases."))
	}
}

// importDatabase makes a database of a share, or of a listing, that another
// account offers.
//
// https://docs.snowflake.com/en/user-guide/data-share-consumers
func (s *session) importDatabase(name string, p *parser) *result {
	var from *share
	if p.accept("SHARE") {
		from = s.offered(p.name())
	} else {
		p.expect("LISTING")
		from = s.offeredListing(p.str())
	}
	p.end()
	s.need("CREATE DATABASE", s.account)
	s.need("IMPORT SHARE", s.account)
	if s.account.databases[name] != nil {
		panic(exists(name))
	}
	for _, db := range s.account.databases {
		if db.from == from {
			panic(errorf(3005, "42710", "SQL compilation error:\nDatabase '%s' was already created from this share.", db.name))
		}
	}
	made := &database{account: s.account, name: name, owner: s.role, created: s.srv.now(), from: from}
	s.account.databases[name] = made
	s.db, s.schema = name, ""
	return status("Database %s successfully created.", name)
}

// offered finds [ORG.]ACCOUNT.SHARE among what reaches the session's account.
func (s *session) offered(name []string) *share {
	for _, other := range s.srv.accounts {
		owner := []string{other.Org, other.Name}
		if len(name) == 2 {
			owner = []string{other.Locator}
		}
		if sh := other.shares[name[len(name)-1]]; sh != nil && slices.Equal(owner, name[:len(name)-1]) && sh.reaches(s.account) {
			return sh
		}
	}
	panic(missing("Share", dotted(name...)))
}
