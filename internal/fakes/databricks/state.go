package databricks

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// state is the metastore's and the workspace's content. Names of catalogs,
// schemas and tables are kept in lower case, as Unity Catalog keeps them:
// https://docs.databricks.com/sql/language-manual/sql-ref-names.html
type state struct {
	secret     string
	logins     map[string]time.Time // token → its end
	locations  []*location
	credential bool
	warehouse  bool
	catalog    bool
	privileges map[string][]string // "principal/kind/name" → privileges
	schemas    map[string]*schema
	tables     map[string]*table
	shares     map[string]*share
	recipients map[string]*recipient
	statements map[string]*statement
	limits     map[string]int // kind → quota
	serial     int
	lifetime   time.Duration // of new recipients' tokens; 0: no end
}

type location struct {
	Name       string `json:"name"`
	URL        string `json:"url"`
	Credential string `json:"credential_name"`
	Owner      string `json:"owner"`
	ReadOnly   bool   `json:"read_only,omitempty"`
}

func newState(o Options) state {
	s := state{
		secret: ClientSecret, logins: map[string]time.Time{}, credential: true, warehouse: true, catalog: true,
		schemas: map[string]*schema{}, tables: map[string]*table{}, shares: map[string]*share{},
		recipients: map[string]*recipient{}, statements: map[string]*statement{},
		// https://docs.databricks.com/resources/limits.html
		limits: map[string]int{"shares": 1000, "recipients": 5000, "tables": 1000, "schemas": 500},
		privileges: map[string][]string{
			Principal + "/metastore/" + MetastoreID: {"CREATE_SHARE", "CREATE_RECIPIENT"},
			Principal + "/catalog/" + Catalog:       {"USE_CATALOG", "CREATE_SCHEMA"},
			Principal + "/warehouse/" + WarehouseID: {"CAN_USE"},
			Group + "/catalog/" + Catalog:           {"USE_CATALOG"},
		},
	}
	for _, url := range o.Locations {
		name := "location-" + strconv.Itoa(len(s.locations)+1)
		s.locations = append(s.locations, &location{Name: name, URL: url, Credential: Credential, Owner: "platform-team"})
		s.privileges[Principal+"/external_location/"+name] = []string{"CREATE_EXTERNAL_TABLE", "CREATE_MANAGED_STORAGE"}
	}
	return s
}

// Revoke takes a privilege on a securable, "catalog", "external_location",
// "metastore", "schema", "share", "recipient" or "warehouse", from a principal.
func (s *Server) Revoke(principal, kind, name, privilege string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := principal + "/" + kind + "/" + name
	s.state.privileges[key] = slices.DeleteFunc(s.state.privileges[key], func(p string) bool { return p == privilege })
}

// Remove makes the catalog, the warehouse, the credential or all external
// locations missing.
func (s *Server) Remove(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch what {
	case "catalog":
		s.state.catalog = false
	case "warehouse":
		s.state.warehouse = false
	case "credential":
		s.state.credential = false
	case "locations":
		s.state.locations = nil
	default:
		panic("no such thing: " + what)
	}
}

// SetLimit changes a quota: shares, recipients, tables or schemas.
func (s *Server) SetLimit(kind string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.limits[kind] = n
}

// SetTokenLifetime is the metastore's own lifetime of recipients' tokens.
func (s *Server) SetTokenLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.lifetime = d
}

func (s *Server) has(principal, kind, name, privilege string) bool {
	p := s.state.privileges[principal+"/"+kind+"/"+name]
	return slices.Contains(p, privilege) || slices.Contains(p, "ALL_PRIVILEGES")
}

// need: a securable's owner may do everything with it; others need the privilege.
// https://docs.databricks.com/data-governance/unity-catalog/manage-privileges/privileges.html
func (s *Server) need(kind, name, owner, privilege string) *failure {
	if ours(owner) || s.has(Principal, kind, name, privilege) {
		return nil
	}
	return denied(strings.ReplaceAll(privilege, "_", " "), titles[kind], name)
}

// ours reports whether the principal has what an owner has, itself or as a
// member of the group.
func ours(owner string) bool { return owner == Principal || owner == Group }

var titles = map[string]string{"metastore": "Metastore", "catalog": "Catalog", "schema": "Schema",
	"external_location": "External Location", "share": "Share", "recipient": "Recipient"}

// quota refuses what exceeds a limit:
// https://docs.databricks.com/data-governance/unity-catalog/resource-quotas.html
func (s *Server) quota(kind string, used int) *failure {
	if used >= s.state.limits[kind] {
		return fail(http.StatusBadRequest, "QUOTA_EXCEEDED", "Cannot create 1 more of "+kind+": the limit is reached.")
	}
	return nil
}

func (s *Server) now() int64 { return s.opts.Now().UnixMilli() }

type privilegeAssignment struct {
	Principal  string   `json:"principal"`
	Privileges []string `json:"privileges"`
}

func (s *Server) assignments(kind, name string) []privilegeAssignment {
	list := []privilegeAssignment{}
	for key, privileges := range s.state.privileges {
		principal, securable, _ := strings.Cut(key, "/")
		if securable == kind+"/"+name && len(privileges) > 0 {
			list = append(list, privilegeAssignment{principal, privileges})
		}
	}
	slices.SortFunc(list, func(a, b privilegeAssignment) int { return strings.Compare(a.Principal, b.Principal) })
	return list
}

// change applies grants and revocations; both are idempotent there.
func (s *Server) change(kind, name string, changes []permissionsChange) {
	for _, c := range changes {
		key := c.Principal + "/" + kind + "/" + name
		for _, p := range c.Add {
			if !slices.Contains(s.state.privileges[key], p) {
				s.state.privileges[key] = append(s.state.privileges[key], p)
			}
		}
		s.state.privileges[key] = slices.DeleteFunc(s.state.privileges[key], func(p string) bool { return slices.Contains(c.Remove, p) })
	}
}

// forget drops every privilege on a securable that is gone.
func (s *Server) forget(kind, name string) {
	for key := range s.state.privileges {
		if strings.HasSuffix(key, "/"+kind+"/"+name) {
			delete(s.state.privileges, key)
		}
	}
}

type permissionsChange struct {
	Principal string   `json:"principal"`
	Add       []string `json:"add"`
	Remove    []string `json:"remove"`
}

// page cuts a list: a client that reads one page alone misses the rest.
// https://docs.databricks.com/api/workspace/shares/listshares
func page[T any](r *http.Request, key string, all []T) map[string]any {
	const size = 2
	start := 0
	for i := range all {
		if r.URL.Query().Get("page_token") == pageToken(i) {
			start = i
		}
	}
	end := min(start+size, len(all))
	answer := map[string]any{key: all[start:end]}
	if end < len(all) {
		answer["next_page_token"] = pageToken(end)
	}
	return answer
}

func pageToken(i int) string { return "page-" + strconv.Itoa(i) }
