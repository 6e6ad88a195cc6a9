package snowflake

import (
	"cmp"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Edition is what an account was bought as; an account shares data with one of
// a lower edition only if it says so.
//
// https://docs.snowflake.com/en/user-guide/override_share_restrictions
type Edition int

// The editions, from the lowest up.
const (
	Standard Edition = iota
	Enterprise
	BusinessCritical
)

// Account is an account of the service: the provider's or a customer's.
type Account struct {
	Org, Name string
	Locator   string  // default: derived from the name
	Region    string  // default AWS_US_EAST_1: the cloud's name is its first word
	Edition   Edition // default Standard

	srv          *Server
	created      time.Time
	users        map[string]*user
	roles        map[string]bool
	warehouses   map[string]*warehouse
	integrations map[string]*integration
	databases    map[string]*database
	shares       map[string]*share
	listings     map[string]*listing
	grants       []*grant
}

type user struct {
	name, role string
	keys       [2]*rsa.PublicKey
	tokens     map[string]bool // OAuth access tokens
	disabled   bool
}

type warehouse struct {
	name      string
	suspended bool // and does not resume by itself
}

type integration struct {
	name    string
	allowed []string // locations
}

func (a *Account) prepare(srv *Server) {
	a.srv, a.created = srv, srv.now()
	a.Region = cmp.Or(a.Region, "AWS_US_EAST_1")
	a.Locator = cmp.Or(a.Locator, locatorOf(a.Org+a.Name))
	a.users = map[string]*user{}
	a.roles = map[string]bool{accountAdmin: true, "PUBLIC": true}
	a.warehouses = map[string]*warehouse{}
	a.integrations = map[string]*integration{}
	a.databases = map[string]*database{}
	a.shares = map[string]*share{}
	a.listings = map[string]*listing{}
}

const accountAdmin = "ACCOUNTADMIN"

// locatorOf makes up a locator: three letters and five digits.
func locatorOf(name string) string {
	sum := uint32(2166136261)
	for _, c := range []byte(name) {
		sum = (sum ^ uint32(c)) * 16777619
	}
	letter := func(shift int) byte { return 'A' + byte((sum>>shift)%26) }
	return fmt.Sprintf("%c%c%c%05d", letter(0), letter(8), letter(16), sum%100000)
}

// Identifier is the account's name as customers hand it in: ORG.NAME.
func (a *Account) Identifier() string { return a.Org + "." + a.Name }

// AddUser makes a user who logs in with one of up to two keys and takes the
// role, which is made too.
//
// https://docs.snowflake.com/en/user-guide/key-pair-auth
func (a *Account) AddUser(name, role string, keys ...*rsa.PublicKey) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	u := &user{name: name, role: role, tokens: map[string]bool{}}
	copy(u.keys[:], keys)
	a.users[name] = u
	a.roles[role] = true
}

// SetKey puts a key into a user's slot 1 or 2 (RSA_PUBLIC_KEY, RSA_PUBLIC_KEY_2);
// nil empties it.
func (a *Account) SetKey(name string, slot int, key *rsa.PublicKey) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.users[name].keys[slot-1] = key
}

// SetToken makes an OAuth access token valid, or invalid, for a user.
func (a *Account) SetToken(name, token string, valid bool) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.users[name].tokens[token] = valid
}

// DisableUser makes further logins of a user fail.
func (a *Account) DisableUser(name string) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.users[name].disabled = true
}

// AddWarehouse makes a warehouse that every role may use.
func (a *Account) AddWarehouse(name string) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.warehouses[name] = &warehouse{name: name}
}

// SuspendWarehouse suspends a warehouse, which does not resume by itself, or
// resumes it.
func (a *Account) SuspendWarehouse(name string, suspended bool) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.warehouses[name].suspended = suspended
}

// AddIntegration makes a storage integration that every role may use.
//
// https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
func (a *Account) AddIntegration(name string, allowed ...string) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.integrations[name] = &integration{name, allowed}
}

// Grant gives a role privileges on the account, such as CREATE DATABASE, as an
// administrator would.
func (a *Account) Grant(role string, privileges ...string) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.roles[role] = true
	for _, privilege := range privileges {
		a.grant(privilege, a, role, nil, accountAdmin)
	}
}

// Revoke takes a privilege on the account from a role.
func (a *Account) Revoke(role, privilege string) {
	a.srv.mu.Lock()
	defer a.srv.mu.Unlock()
	a.revoke(privilege, a, role, nil)
}

func (a *Account) databaseNames() []string { return slices.Sorted(maps.Keys(a.databases)) }

// LoaderPrivileges are the account's privileges that a provider's role needs to
// keep databases, shares and listings.
func LoaderPrivileges() []string {
	return []string{"CREATE DATABASE", "CREATE SHARE", "CREATE DATA EXCHANGE LISTING", "MANAGE SHARE TARGET", "OVERRIDE SHARE RESTRICTIONS"}
}
