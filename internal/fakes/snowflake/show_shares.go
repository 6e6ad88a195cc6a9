package snowflake

import (
	"maps"
	"slices"
	"strings"
)

// showShares follows https://docs.snowflake.com/en/sql-reference/sql/show-shares
func (s *session) showShares(p *parser) *result {
	f := p.like()
	p.tail(&f)
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(s.account.shares)) {
		sh := s.account.shares[name]
		if !s.sees(sh) {
			continue
		}
		db, global := "", ""
		if d := sh.database(); d != nil {
			db = d.name
		}
		if sh.listing != nil {
			global = sh.listing.global
		}
		var to []string
		for _, a := range sh.accounts {
			to = append(to, a.Identifier())
		}
		rows = append(rows, []any{sh.created, "OUTBOUND", s.account.Identifier(), sh.name, db, strings.Join(to, ", "), sh.owner, sh.comment, global, "true"})
	}
	if s.may("IMPORT SHARE", s.account) {
		rows = append(rows, s.inbound()...)
	}
	return table([]string{"created_on", "kind", "owner_account", "name", "database_name", "to", "owner", "comment", "listing_global_name", "secure_objects_only"}, f.rows(3, rows)...)
}

func (s *session) inbound() (rows [][]any) {
	for _, other := range s.srv.accounts {
		for _, name := range slices.Sorted(maps.Keys(other.shares)) {
			sh := other.shares[name]
			if other == s.account || !sh.reaches(s.account) || sh.listing != nil {
				continue
			}
			db := ""
			for _, own := range s.account.databases {
				if own.from == sh {
					db = own.name
				}
			}
			rows = append(rows, []any{sh.created, "INBOUND", other.Identifier(), sh.name, db, "", "", sh.comment, "", "true"})
		}
	}
	return rows
}

// showGrants follows https://docs.snowflake.com/en/sql-reference/sql/show-grants
func (s *session) showGrants(p *parser) *result {
	switch {
	case p.accept("OF", "SHARE"):
		sh := s.share(p.name())
		p.end()
		s.needOwner(sh)
		var rows [][]any
		for _, a := range sh.accounts {
			rows = append(rows, []any{sh.created, sh.name, "ACCOUNT", a.Identifier(), ""})
		}
		return table([]string{"created_on", "share", "granted_to", "grantee_name", "granted_by"}, rows...)
	case p.accept("TO", "SHARE"):
		sh := s.share(p.name())
		p.end()
		s.needOwner(sh)
		return grantsShown(sh.granted())
	case p.accept("TO", "ROLE"):
		role := p.ident()
		p.end()
		return grantsShown(s.account.grantsWhere(func(g *grant) bool { return g.role == role && g.share == nil }), s.account.usedByAll(role)...)
	}
	p.expect("ON")
	if p.accept("SHARE") {
		sh := s.share(p.name())
		p.end()
		return grantsShown(s.account.grantsWhere(func(g *grant) bool { return g.on == sh }))
	}
	on := s.grantable(p)
	p.end()
	return grantsShown(s.account.grantsWhere(func(g *grant) bool { return g.on == on }))
}

func (a *Account) grantsWhere(fits func(*grant) bool) (all []*grant) {
	for _, g := range a.grants {
		if fits(g) {
			all = append(all, g)
		}
	}
	return all
}

// usedByAll are the grants on what every role may use here.
func (a *Account) usedByAll(role string) (rows [][]any) {
	usage := func(kind, name string) {
		rows = append(rows, []any{a.created, "USAGE", kind, name, "ROLE", role, "false", accountAdmin})
	}
	for _, name := range slices.Sorted(maps.Keys(a.warehouses)) {
		usage("WAREHOUSE", name)
	}
	for _, name := range slices.Sorted(maps.Keys(a.integrations)) {
		usage("INTEGRATION", name)
	}
	return rows
}

func grantsShown(grants []*grant, rows ...[]any) *result {
	for _, g := range grants {
		to, name := "ROLE", g.role
		if g.share != nil {
			to, name = "SHARE", g.share.account.Identifier()+"."+g.share.name
		}
		rows = append(rows, []any{g.created, g.privilege, g.on.kindName(), g.on.fullName(), to, name, "false", g.by})
	}
	return table([]string{"created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by"}, rows...)
}

func (s *session) showListings(p *parser) *result {
	f := p.like()
	p.tail(&f)
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(s.account.listings)) {
		if l := s.account.listings[name]; s.role == accountAdmin || l.owner == s.role {
			rows = append(rows, l.row())
		}
	}
	return table(listingColumns, f.rows(1, rows)...)
}

// showAvailable are the listings that a consumer may import.
func (s *session) showAvailable(p *parser) *result {
	f := p.like()
	p.tail(&f)
	var rows [][]any
	for _, other := range s.srv.accounts {
		for _, name := range slices.Sorted(maps.Keys(other.listings)) {
			if l := other.listings[name]; other != s.account && l.share.reaches(s.account) {
				rows = append(rows, []any{l.global, l.manifest.Title, l.manifest.Description, other.Org, l.created})
			}
		}
	}
	return table([]string{"listing_global_name", "title", "description", "provider", "created_on"}, f.rows(1, rows)...)
}

// descShare shows what is in a share: by its own name, or ORG.ACCOUNT.SHARE of
// one that another account offers.
func (s *session) descShare(p *parser) *result {
	name := p.name()
	p.end()
	var sh *share
	if len(name) > 1 {
		sh = s.offered(name)
	} else {
		sh = s.share(name)
		s.needOwner(sh)
	}
	var rows [][]any
	for _, g := range sh.granted() {
		shown := g.on.fullName()
		if sh.account != s.account {
			_, rest, _ := strings.Cut(shown, ".")
			shown = strings.TrimSuffix("<DB>."+rest, ".")
		}
		rows = append(rows, []any{g.on.kindName(), shown, g.created})
	}
	return table([]string{"kind", "name", "shared_on"}, rows...)
}
