package databricks

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

type share struct {
	Name        string   `json:"name"`
	Comment     string   `json:"comment,omitempty"`
	Owner       string   `json:"owner"`
	CreatedAt   int64    `json:"created_at"`
	Objects     []object `json:"objects,omitempty"`
	StorageRoot string   `json:"storage_root,omitempty"`
}

type object struct {
	Name         string `json:"name"`
	Type         string `json:"data_object_type"`
	SharedAs     string `json:"shared_as"`
	Status       string `json:"status,omitempty"`
	History      string `json:"history_data_sharing_status,omitempty"`
	Comment      string `json:"comment,omitempty"`
	AddedAt      int64  `json:"added_at,omitempty"`
	StartVersion int64  `json:"start_version,omitempty"`
}

type update struct {
	Action string `json:"action"`
	Object object `json:"data_object"`
}

// createShare: https://docs.databricks.com/api/workspace/shares/create
func (s *Server) createShare(_ *http.Request, body []byte) (any, *failure) {
	in, refusal := decode[share](body)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := s.need("metastore", MetastoreID, "", "CREATE_SHARE"); refusal != nil {
		return nil, refusal
	}
	if !validName(in.Name) {
		return nil, invalid("'" + in.Name + "' is not a valid name")
	}
	if s.state.shares[in.Name] != nil {
		return nil, fail(http.StatusConflict, "SHARE_ALREADY_EXISTS", "Share '"+in.Name+"' already exists")
	}
	if refusal := s.quota("shares", len(s.state.shares)); refusal != nil {
		return nil, refusal
	}
	in.Owner, in.CreatedAt, in.Objects = Principal, s.now(), nil
	s.state.shares[in.Name] = &in
	return in, nil
}

func (s *Server) share(r *http.Request) (*share, *failure) {
	name := r.PathValue("name")
	if sh := s.state.shares[name]; sh != nil {
		return sh, nil
	}
	return nil, notFound("SHARE_DOES_NOT_EXIST", "Share '"+name+"' does not exist.")
}

// getShare shows the objects only to who asks for them:
// https://docs.databricks.com/api/workspace/shares/get
func (s *Server) getShare(r *http.Request, _ []byte) (any, *failure) {
	sh, refusal := s.share(r)
	if refusal != nil {
		return nil, refusal
	}
	out := *sh
	out.Objects = nil
	if r.URL.Query().Get("include_shared_data") == "true" {
		out.Objects = s.objects(sh)
	}
	return out, nil
}

// objects: what the share's owner may not read (any more) nobody reads.
// https://docs.databricks.com/delta-sharing/create-share.html
func (s *Server) objects(sh *share) []object {
	list := slices.Clone(sh.Objects)
	for i, o := range list {
		list[i].Status = "ACTIVE"
		if !s.readable(sh.Owner, o.Name) {
			list[i].Status = "PERMISSION_DENIED"
		}
	}
	return list
}

func (s *Server) readable(principal, name string) bool {
	t := s.state.tables[name]
	if t == nil {
		return false
	}
	if !s.has(principal, "catalog", t.CatalogName, "USE_CATALOG") {
		return false
	}
	schema := t.CatalogName + "." + t.SchemaName
	owner := s.state.schemas[schema].Owner
	return (principal == owner || s.has(principal, "schema", schema, "USE_SCHEMA")) &&
		(principal == t.Owner || s.has(principal, "schema", schema, "SELECT") || s.has(principal, "table", name, "SELECT"))
}

func (s *Server) listShares(r *http.Request, _ []byte) (any, *failure) {
	var list []share
	for _, name := range slices.Sorted(maps.Keys(s.state.shares)) {
		sh := *s.state.shares[name]
		sh.Objects = nil
		list = append(list, sh)
	}
	return page(r, "shares", list), nil
}

func (s *Server) deleteShare(r *http.Request, _ []byte) (any, *failure) {
	sh, refusal := s.share(r)
	if refusal != nil {
		return nil, refusal
	}
	if !ours(sh.Owner) {
		return nil, denied("MANAGE", "Share", sh.Name)
	}
	delete(s.state.shares, sh.Name)
	s.forget("share", sh.Name)
	return nil, nil
}

// maxUpdates: https://docs.databricks.com/api/workspace/shares/update
const maxUpdates = 100

// updateShare applies all updates or none.
func (s *Server) updateShare(r *http.Request, body []byte) (any, *failure) {
	sh, refusal := s.share(r)
	if refusal != nil {
		return nil, refusal
	}
	in, refusal := decode[struct {
		Updates []update `json:"updates"`
		Owner   string   `json:"owner"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	switch {
	case !ours(sh.Owner):
		return nil, denied("MANAGE", "Share", sh.Name)
	case len(in.Updates) > maxUpdates:
		return nil, invalid("The maximum number of data objects to update is 100.")
	}
	objects, seen := slices.Clone(sh.Objects), map[string]bool{}
	for _, u := range in.Updates {
		u.Object.Name = strings.ToLower(u.Object.Name)
		if seen[u.Object.Name] {
			return nil, invalid("Found multiple updates for data object '" + u.Object.Name + "'.")
		}
		seen[u.Object.Name] = true
		if objects, refusal = s.apply(objects, u); refusal != nil {
			return nil, refusal
		}
	}
	sh.Objects = objects
	if in.Owner != "" {
		sh.Owner = in.Owner
	}
	return sh, nil
}

var sharedAs = regexp.MustCompile(`^[A-Za-z0-9_]+\.[A-Za-z0-9_]+$`)

func (s *Server) apply(objects []object, u update) ([]object, *failure) {
	i := slices.IndexFunc(objects, func(o object) bool { return o.Name == u.Object.Name })
	switch u.Action {
	case "ADD":
		if i >= 0 {
			return nil, fail(http.StatusConflict, "RESOURCE_ALREADY_EXISTS", "Data object '"+u.Object.Name+"' already exists in the share.")
		}
		return s.add(objects, u.Object)
	case "REMOVE":
		if i < 0 {
			return nil, notFound("RESOURCE_DOES_NOT_EXIST", "Data object '"+u.Object.Name+"' does not exist in the share.")
		}
		return slices.Delete(objects, i, i+1), nil
	case "UPDATE":
		switch {
		case i < 0:
			return nil, notFound("RESOURCE_DOES_NOT_EXIST", "Data object '"+u.Object.Name+"' does not exist in the share.")
		case u.Object.SharedAs != "" && u.Object.SharedAs != objects[i].SharedAs:
			return nil, invalid("The shared_as name of a data object cannot be changed.")
		}
		objects[i].History = u.Object.History
		return objects, nil
	}
	return nil, invalid("Unknown action '" + u.Action + "'")
}

func (s *Server) add(objects []object, o object) ([]object, *failure) {
	t := s.state.tables[o.Name]
	switch {
	case o.Type != "TABLE":
		return nil, invalid("This workspace shares tables only, not '" + o.Type + "'.")
	case t == nil:
		return nil, notFound("TABLE_DOES_NOT_EXIST", "Table '"+o.Name+"' does not exist.")
	case !s.readable(Principal, o.Name):
		return nil, denied("SELECT", "Table", o.Name)
	case o.SharedAs != "" && !sharedAs.MatchString(o.SharedAs):
		return nil, invalid("The shared_as name '" + o.SharedAs + "' must have the format <schema>.<table> of letters, digits and underscores.")
	}
	if o.SharedAs == "" {
		o.SharedAs = t.SchemaName + "." + t.Name
	}
	if slices.ContainsFunc(objects, func(p object) bool { return strings.EqualFold(p.SharedAs, o.SharedAs) }) {
		return nil, invalid("The shared_as name '" + o.SharedAs + "' is not unique in the share.")
	}
	described, err := s.opts.Describe(t.Location)
	if err != nil {
		return nil, fail(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", err.Error())
	}
	// https://docs.databricks.com/delta-sharing/create-share.html#dv
	if described.DeletionVectors && o.History != "ENABLED" {
		return nil, fail(http.StatusBadRequest, "INVALID_STATE", "Table property delta.enableDeletionVectors is found in table version: 0. Share the table with history.")
	}
	schemas := map[string]bool{strings.Split(strings.ToLower(o.SharedAs), ".")[0]: true}
	for _, p := range objects {
		schemas[strings.Split(strings.ToLower(p.SharedAs), ".")[0]] = true
	}
	if refusal := s.quota("schemas", len(schemas)-1); refusal != nil {
		return nil, refusal
	}
	if refusal := s.quota("tables", len(objects)); refusal != nil {
		return nil, refusal
	}
	o.AddedAt, o.Status = s.now(), ""
	if o.History == "" {
		o.History = "DISABLED"
	}
	o.StartVersion = described.Version
	return append(objects, o), nil
}

// sharePermissions: https://docs.databricks.com/api/workspace/shares/sharepermissions
func (s *Server) sharePermissions(r *http.Request, _ []byte) (any, *failure) {
	sh, refusal := s.share(r)
	if refusal != nil {
		return nil, refusal
	}
	return page(r, "privilege_assignments", s.assignments("share", sh.Name)), nil
}

// updateSharePermissions: https://docs.databricks.com/api/workspace/shares/updatepermissions
func (s *Server) updateSharePermissions(r *http.Request, body []byte) (any, *failure) {
	sh, refusal := s.share(r)
	if refusal != nil {
		return nil, refusal
	}
	in, refusal := decode[struct {
		Changes []permissionsChange `json:"changes"`
		Omit    bool                `json:"omit_permissions_list"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	if !ours(sh.Owner) {
		return nil, denied("MANAGE", "Share", sh.Name)
	}
	for _, c := range in.Changes {
		if s.state.recipients[c.Principal] == nil {
			return nil, notFound("RECIPIENT_DOES_NOT_EXIST", "Recipient '"+c.Principal+"' does not exist.")
		}
	}
	s.change("share", sh.Name, in.Changes)
	return map[string]any{"privilege_assignments": s.assignments("share", sh.Name)}, nil
}

// GrantSelect lets a principal read a share, as a colleague's hand would.
func (s *Server) GrantSelect(share, principal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change("share", share, []permissionsChange{{Principal: principal, Add: []string{"SELECT"}}})
}
