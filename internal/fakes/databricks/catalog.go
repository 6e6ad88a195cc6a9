package databricks

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

type schema struct {
	Name            string            `json:"name"`
	CatalogName     string            `json:"catalog_name"`
	FullName        string            `json:"full_name"`
	Comment         string            `json:"comment,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"`
	StorageRoot     string            `json:"storage_root,omitempty"`
	StorageLocation string            `json:"storage_location,omitempty"`
	Owner           string            `json:"owner"`
	CreatedAt       int64             `json:"created_at"`
}

type table struct {
	Name        string            `json:"name"`
	CatalogName string            `json:"catalog_name"`
	SchemaName  string            `json:"schema_name"`
	FullName    string            `json:"full_name"`
	Type        string            `json:"table_type"`
	Format      string            `json:"data_source_format"`
	Location    string            `json:"storage_location"`
	Columns     []column          `json:"columns"`
	Comment     string            `json:"comment,omitempty"`
	Properties  map[string]string `json:"properties,omitempty"`
	Owner       string            `json:"owner"`
	CreatedAt   int64             `json:"created_at"`
}

type column struct {
	Name     string `json:"name"`
	TypeText string `json:"type_text"`
	Position int    `json:"position"`
	Nullable bool   `json:"nullable"`
}

// metastore: https://docs.databricks.com/api/workspace/metastores/summary
func (s *Server) metastore(*http.Request, []byte) (any, *failure) {
	return map[string]any{"metastore_id": MetastoreID, "name": "main", "owner": "platform-team", "cloud": "aws", "region": "us-east-1",
		"global_metastore_id": "aws:us-east-1:" + MetastoreID, "delta_sharing_scope": "INTERNAL_AND_EXTERNAL",
		"delta_sharing_recipient_token_lifetime_in_seconds": int64(s.state.lifetime.Seconds())}, nil
}

func (s *Server) getCatalog(r *http.Request, _ []byte) (any, *failure) {
	name := strings.ToLower(r.PathValue("name"))
	if name != Catalog || !s.state.catalog {
		return nil, notFound("CATALOG_DOES_NOT_EXIST", "Catalog '"+name+"' does not exist.")
	}
	if refusal := s.need("catalog", Catalog, "", "USE_CATALOG"); refusal != nil {
		return nil, refusal
	}
	return map[string]any{"name": Catalog, "owner": "platform-team", "catalog_type": "MANAGED_CATALOG"}, nil
}

// createSchema: https://docs.databricks.com/api/workspace/schemas/create
func (s *Server) createSchema(_ *http.Request, body []byte) (any, *failure) {
	in, refusal := decode[schema](body)
	if refusal != nil {
		return nil, refusal
	}
	if in.CatalogName != Catalog || !s.state.catalog {
		return nil, notFound("CATALOG_DOES_NOT_EXIST", "Catalog '"+in.CatalogName+"' does not exist.")
	}
	for _, privilege := range []string{"USE_CATALOG", "CREATE_SCHEMA"} {
		if refusal := s.need("catalog", Catalog, "", privilege); refusal != nil {
			return nil, refusal
		}
	}
	if !validName(in.Name) {
		return nil, invalid("'" + in.Name + "' is not a valid name")
	}
	in.Name = strings.ToLower(in.Name)
	in.FullName = in.CatalogName + "." + in.Name
	if s.state.schemas[in.FullName] != nil {
		return nil, fail(http.StatusConflict, "SCHEMA_ALREADY_EXISTS", "Schema '"+in.FullName+"' already exists")
	}
	if in.StorageRoot != "" {
		if refusal := s.covered(in.StorageRoot, "CREATE_MANAGED_STORAGE"); refusal != nil {
			return nil, refusal
		}
	}
	in.Owner, in.CreatedAt = Principal, s.now()
	if in.StorageRoot != "" {
		// https://docs.databricks.com/connect/unity-catalog/cloud-storage/managed-storage.html
		in.StorageLocation = strings.TrimSuffix(in.StorageRoot, "/") + "/__unitystorage/schemas/" + in.Name
	}
	s.state.schemas[in.FullName] = &in
	return in, nil
}

func (s *Server) getSchema(r *http.Request, _ []byte) (any, *failure) {
	name := strings.ToLower(r.PathValue("name"))
	c := s.state.schemas[name]
	if c == nil {
		return nil, notFound("SCHEMA_DOES_NOT_EXIST", "Schema '"+name+"' does not exist.")
	}
	return c, nil
}

// deleteSchema: https://docs.databricks.com/api/workspace/schemas/delete
func (s *Server) deleteSchema(r *http.Request, _ []byte) (any, *failure) {
	name := strings.ToLower(r.PathValue("name"))
	c := s.state.schemas[name]
	switch {
	case c == nil:
		return nil, notFound("SCHEMA_DOES_NOT_EXIST", "Schema '"+name+"' does not exist.")
	case !ours(c.Owner):
		return nil, denied("MANAGE", "Schema", name)
	case len(s.tablesOf(name)) > 0 && r.URL.Query().Get("force") != "true":
		return nil, fail(http.StatusBadRequest, "SCHEMA_NOT_EMPTY", "Schema '"+name+"' is not empty.")
	}
	for _, t := range s.tablesOf(name) {
		delete(s.state.tables, t.FullName)
	}
	delete(s.state.schemas, name)
	s.forget("schema", name)
	return nil, nil
}

func (s *Server) tablesOf(schema string) []*table {
	var list []*table
	for _, name := range slices.Sorted(maps.Keys(s.state.tables)) {
		if t := s.state.tables[name]; t.CatalogName+"."+t.SchemaName == schema {
			list = append(list, t)
		}
	}
	return list
}

func (s *Server) listTables(r *http.Request, _ []byte) (any, *failure) {
	q := r.URL.Query()
	return page(r, "tables", s.tablesOf(strings.ToLower(q.Get("catalog_name")+"."+q.Get("schema_name")))), nil
}

func (s *Server) getTable(r *http.Request, _ []byte) (any, *failure) {
	name := strings.ToLower(r.PathValue("name"))
	t := s.state.tables[name]
	if t == nil {
		return nil, notFound("TABLE_DOES_NOT_EXIST", "Table '"+name+"' does not exist.")
	}
	return t, nil
}

// deleteTable forgets an external table and leaves its files:
// https://docs.databricks.com/api/workspace/tables/delete
func (s *Server) deleteTable(r *http.Request, _ []byte) (any, *failure) {
	name := strings.ToLower(r.PathValue("name"))
	t := s.state.tables[name]
	switch {
	case t == nil:
		return nil, notFound("TABLE_DOES_NOT_EXIST", "Table '"+name+"' does not exist.")
	case !ours(t.Owner):
		return nil, denied("MANAGE", "Table", name)
	}
	delete(s.state.tables, name)
	s.forget("table", name)
	return nil, nil
}

func (s *Server) listLocations(r *http.Request, _ []byte) (any, *failure) {
	return page(r, "external_locations", s.state.locations), nil
}

func (s *Server) getCredential(r *http.Request, _ []byte) (any, *failure) {
	if name := r.PathValue("name"); name != Credential || !s.state.credential {
		return nil, notFound("STORAGE_CREDENTIAL_DOES_NOT_EXIST", "Storage Credential '"+name+"' does not exist.")
	}
	return map[string]any{"name": Credential, "owner": "platform-team"}, nil
}

// covered refuses a URL that no external location covers, or one that we may
// not use so:
// https://docs.databricks.com/connect/unity-catalog/external-locations.html
func (s *Server) covered(url, privilege string) *failure {
	for _, l := range s.state.locations {
		if within(url, l.URL) {
			if !s.state.credential {
				return notFound("STORAGE_CREDENTIAL_DOES_NOT_EXIST", "Storage Credential '"+l.Credential+"' does not exist.")
			}
			return s.need("external_location", l.Name, l.Owner, privilege)
		}
	}
	return invalid("[RequestId=1 ErrorClass=INVALID_PARAMETER_VALUE.NO_PARENT_EXTERNAL_LOCATION_FOR_PATH] " +
		"No parent external location was found for path '" + url + "'. Please create an external location on one of the parent paths and then retry the query or command again.")
}

func within(url, root string) bool {
	url, root = strings.TrimSuffix(url, "/"), strings.TrimSuffix(root, "/")
	return url == root || strings.HasPrefix(url, root+"/")
}

// effective: https://docs.databricks.com/api/workspace/grants/geteffective
func (s *Server) effective(r *http.Request, _ []byte) (any, *failure) {
	kind, name := strings.ToLower(r.PathValue("kind")), r.PathValue("name")
	type privilege struct {
		Privilege string `json:"privilege"`
	}
	type assignment struct {
		Principal  string      `json:"principal"`
		Privileges []privilege `json:"privileges"`
	}
	list := []assignment{}
	for _, a := range s.assignments(kind, name) {
		if want := r.URL.Query().Get("principal"); want != "" && want != a.Principal {
			continue
		}
		out := assignment{Principal: a.Principal}
		for _, p := range a.Privileges {
			out.Privileges = append(out.Privileges, privilege{p})
		}
		list = append(list, out)
	}
	return map[string]any{"privilege_assignments": list}, nil
}

// grant: https://docs.databricks.com/api/workspace/grants/update
func (s *Server) grant(r *http.Request, body []byte) (any, *failure) {
	in, refusal := decode[struct {
		Changes []permissionsChange `json:"changes"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	kind, name := strings.ToLower(r.PathValue("kind")), strings.ToLower(r.PathValue("name"))
	c := s.state.schemas[name]
	if kind != "schema" || c == nil {
		return nil, notFound("SECURABLE_DOES_NOT_EXIST", kind+" '"+name+"' does not exist.")
	}
	if !ours(c.Owner) {
		return nil, denied("MANAGE", "Schema", name)
	}
	s.change(kind, name, in.Changes)
	return map[string]any{"privilege_assignments": s.assignments(kind, name)}, nil
}

// validName: https://docs.databricks.com/sql/language-manual/sql-ref-names.html
func validName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsAny(name, " ./\x00\n\t\x7f")
}
