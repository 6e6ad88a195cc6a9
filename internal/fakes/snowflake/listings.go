package snowflake

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// listing offers a share to accounts in any region.
//
// https://docs.snowflake.com/en/sql-reference/sql/create-listing
type listing struct {
	global    string
	name      string
	owner     string
	comment   string
	created   time.Time
	share     *share
	manifest  manifest
	targets   []*Account
	published bool
}

func (l *listing) kindName() string { return "LISTING" }
func (l *listing) fullName() string { return dotted(l.name) }

// manifest is the listing's text.
//
// https://docs.snowflake.com/en/progaccess/listing-manifest-reference
type manifest struct {
	Title        string `json:"title"        yaml:"title"`
	Subtitle     string `json:"-"            yaml:"subtitle"`
	Description  string `json:"description"  yaml:"description"`
	ListingTerms struct {
		Type string `json:"type" yaml:"type"`
		Link string `json:"-"    yaml:"link"`
	} `json:"listing_terms" yaml:"listing_terms"`
	Targets struct {
		Accounts []string `json:"accounts" yaml:"accounts"`
	} `json:"targets" yaml:"targets"`
	AutoFulfillment *fulfillment `json:"auto_fulfillment,omitempty" yaml:"auto_fulfillment"`
}

type fulfillment struct {
	RefreshType     string `json:"refresh_type"     yaml:"refresh_type"`
	RefreshSchedule string `json:"refresh_schedule" yaml:"refresh_schedule"`
}

var minutes = regexp.MustCompile(`^\d+ MINUTE$`)

func badManifest(format string, args ...any) *sqlError {
	return errorf(93807, "22023", "Invalid listing manifest: %s", fmt.Sprintf(format, args...))
}

// manifest reads and checks a listing's text.
func (s *session) manifest(text string) (m manifest, targets []*Account) {
	if err := yaml.UnmarshalWithOptions([]byte(text), &m, yaml.Strict()); err != nil {
		panic(badManifest("%v", err))
	}
	if m.Title == "" || m.Description == "" {
		panic(badManifest("title and description are required"))
	}
	if !slices.Contains([]string{"OFFLINE", "STANDARD", "CUSTOM"}, m.ListingTerms.Type) {
		panic(badManifest("listing_terms.type %q", m.ListingTerms.Type))
	}
	if len(m.Targets.Accounts) == 0 {
		panic(badManifest("targets.accounts is required"))
	}
	for _, name := range m.Targets.Accounts {
		i := slices.IndexFunc(s.srv.accounts, func(a *Account) bool { return a.Identifier() == name })
		if i < 0 {
			panic(badManifest("the target account %s is not known", name))
		}
		targets = append(targets, s.srv.accounts[i])
	}
	s.checkFulfillment(m, targets)
	return m, targets
}

// checkFulfillment: an account in another region is reached by replication.
//
// https://docs.snowflake.com/en/collaboration/provider-listings-auto-fulfillment
func (s *session) checkFulfillment(m manifest, targets []*Account) {
	away := slices.ContainsFunc(targets, func(a *Account) bool { return a.Region != s.account.Region })
	f := m.AutoFulfillment
	switch {
	case f == nil && away:
		panic(badManifest("auto_fulfillment is required for accounts in other regions"))
	case f == nil:
	case f.RefreshType != "SUB_DATABASE" && f.RefreshType != "FULL_DATABASE":
		panic(badManifest("auto_fulfillment.refresh_type %q", f.RefreshType))
	case !minutes.MatchString(f.RefreshSchedule) && !strings.HasPrefix(f.RefreshSchedule, "USING CRON "):
		panic(badManifest("auto_fulfillment.refresh_schedule %q", f.RefreshSchedule))
	}
}

func (s *session) createListing(p *parser) *result {
	p.accept("EXTERNAL")
	p.expect("LISTING")
	unlessExists := p.ifNotExists()
	made := &listing{name: p.ident(), owner: s.role, created: s.srv.now(), published: true}
	p.expect("SHARE")
	shared := s.share([]string{p.ident()})
	p.expect("AS")
	text := p.str()
	review := true
	for p.peek().kind == kindWord {
		switch {
		case p.comment(&made.comment):
		case p.accept("PUBLISH", "="):
			made.published = p.boolean()
		default:
			p.expect("REVIEW", "=")
			review = p.boolean()
		}
	}
	p.end()
	s.need("CREATE DATA EXCHANGE LISTING", s.account)
	s.needOwner(shared)
	if s.account.listings[made.name] != nil {
		if unlessExists {
			return status("%s already exists, statement succeeded.", made.name)
		}
		panic(exists(made.name))
	}
	if made.published && !review {
		panic(badManifest("PUBLISH = TRUE needs REVIEW = TRUE"))
	}
	made.manifest, made.targets = s.manifest(text)
	s.attach(made, shared)
	return status("Listing %s successfully created.", made.name)
}

func (s *session) attach(made *listing, shared *share) {
	if shared.database() == nil {
		panic(badManifest("share %s has no database", shared.name))
	}
	if shared.listing != nil || len(shared.accounts) > 0 {
		panic(badManifest("share %s is already shown to accounts or attached to a listing", shared.name))
	}
	s.srv.ids++
	made.global = fmt.Sprintf("GZ%08d", s.srv.ids)
	made.share, shared.listing = shared, made
	s.account.listings[made.name] = made
}

func (s *session) listing(name string) *listing {
	found := s.account.listings[name]
	if found == nil || (s.role != accountAdmin && found.owner != s.role) {
		panic(missing("Listing", dotted(name)))
	}
	return found
}

// alterListing follows https://docs.snowflake.com/en/sql-reference/sql/alter-listing
func (s *session) alterListing(p *parser) *result {
	ifExists, name := p.ifExists(), p.ident()
	if ifExists && s.account.listings[name] == nil {
		p.rest()
		return status("Statement executed successfully.")
	}
	changed := s.listing(name)
	switch verb := p.oneOf("PUBLISH", "UNPUBLISH", "REVIEW", "AS"); verb {
	case "AS":
		text := p.str()
		p.end()
		changed.manifest, changed.targets = s.manifest(text)
	case "PUBLISH", "UNPUBLISH":
		p.end()
		changed.published = verb == "PUBLISH"
	default:
		p.end()
	}
	return status("Statement executed successfully.")
}

func (s *session) dropListing(p *parser) *result {
	ifExists, name := p.ifExists(), p.ident()
	p.end()
	if ifExists && s.account.listings[name] == nil {
		return status("Drop statement executed successfully (%s already dropped).", name)
	}
	found := s.listing(name)
	if found.published {
		panic(errorf(93809, "22023", "Listing %s must be unpublished before it is dropped.", name))
	}
	found.share.listing = nil
	delete(s.account.listings, name)
	return status("%s successfully dropped.", name)
}

// offeredListing finds a published listing that names the session's account.
func (s *session) offeredListing(global string) *share {
	for _, other := range s.srv.accounts {
		for _, l := range other.listings {
			if l.global == global && l.share.reaches(s.account) {
				return l.share
			}
		}
	}
	panic(missing("Listing", global))
}

func (l *listing) state() string {
	if l.published {
		return "PUBLISHED"
	}
	return "DRAFT"
}

func jsonText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

var listingColumns = []string{
	"global_name", "name", "owner", "owner_role_type", "created_on", "updated_on", "published_on", "title", "subtitle",
	"description", "target_accounts", "targets", "auto_fulfillment", "listing_terms", "state", "review_state", "share", "comment",
}

func (l *listing) row() []any {
	published := any(nil)
	if l.published {
		published = l.created
	}
	return []any{
		l.global, l.name, l.owner, "ROLE", l.created, l.created, published, l.manifest.Title, l.manifest.Subtitle,
		l.manifest.Description, strings.Join(l.manifest.Targets.Accounts, ","), jsonText(l.manifest.Targets), jsonText(l.manifest.AutoFulfillment),
		jsonText(l.manifest.ListingTerms), l.state(), nil, l.share.name, l.comment,
	}
}
