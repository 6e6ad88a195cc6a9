package databricks

import (
	"net/http"
	"regexp"
	"strings"
)

// statement is one that was handed in; it runs once it has been asked for
// Options.Slow times.
type statement struct {
	text  string
	polls int
	state string
	error *statementError
	sql   string // SQLSTATE
}

type statementError struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

func (s *Server) getWarehouse(r *http.Request, _ []byte) (any, *failure) {
	id := r.PathValue("id")
	if id != WarehouseID || !s.state.warehouse {
		return nil, notFound("RESOURCE_DOES_NOT_EXIST", "SQL warehouse "+id+" does not exist.")
	}
	if !s.has(Principal, "warehouse", WarehouseID, "CAN_USE") {
		return nil, fail(http.StatusForbidden, "PERMISSION_DENIED", Principal+" does not have permission to use SQL warehouse "+id)
	}
	return map[string]any{"id": WarehouseID, "name": "delivery", "state": "STOPPED", "auto_stop_mins": 10}, nil
}

// executeStatement: https://docs.databricks.com/api/workspace/statementexecution/executestatement
func (s *Server) executeStatement(r *http.Request, body []byte) (any, *failure) {
	in, refusal := decode[struct {
		Text      string `json:"statement"`
		Warehouse string `json:"warehouse_id"`
		Wait      string `json:"wait_timeout"`
		OnTimeout string `json:"on_wait_timeout"`
	}](body)
	if refusal != nil {
		return nil, refusal
	}
	r.SetPathValue("id", in.Warehouse)
	if _, refusal := s.getWarehouse(r, nil); refusal != nil {
		return nil, refusal
	}
	if in.Wait != "30s" && in.Wait != "0s" || in.OnTimeout != "CONTINUE" {
		return nil, invalid("This workspace plays wait_timeout 30s or 0s with on_wait_timeout CONTINUE only.")
	}
	s.state.serial++
	id := "statement-" + pageToken(s.state.serial)
	st := &statement{text: in.Text, state: "PENDING", polls: s.opts.Slow}
	s.state.statements[id] = st
	s.run(st)
	return st.answer(id), nil
}

// getStatement: https://docs.databricks.com/api/workspace/statementexecution/getstatement
func (s *Server) getStatement(r *http.Request, _ []byte) (any, *failure) {
	id := r.PathValue("id")
	st := s.state.statements[id]
	if st == nil {
		return nil, notFound("NOT_FOUND", "The statement "+id+" was not found.")
	}
	s.run(st)
	return st.answer(id), nil
}

func (st *statement) answer(id string) map[string]any {
	status := map[string]any{"state": st.state}
	if st.error != nil {
		status["error"], status["sql_state"] = st.error, st.sql
	}
	return map[string]any{"statement_id": id, "status": status}
}

const name = "`([^`]+)`"

var (
	createTable = regexp.MustCompile(`^CREATE TABLE IF NOT EXISTS ` + name + `\.` + name + `\.` + name + ` USING DELTA LOCATION '((?:[^'\\]|\\.)*)'$`)
	syncTable   = regexp.MustCompile(`^MSCK REPAIR TABLE ` + name + `\.` + name + `\.` + name + ` SYNC METADATA$`)
	escaped     = regexp.MustCompile(`\\(.)`)
)

// run runs a statement that has waited long enough.
func (s *Server) run(st *statement) {
	if st.state != "PENDING" && st.state != "RUNNING" {
		return
	}
	if st.polls > 0 {
		st.polls--
		st.state = "RUNNING"
		return
	}
	st.state = "SUCCEEDED"
	var sqlState string
	var refusal *failure
	if m := createTable.FindStringSubmatch(st.text); m != nil {
		sqlState, refusal = s.create(strings.ToLower(m[1]), strings.ToLower(m[2]), strings.ToLower(m[3]), escaped.ReplaceAllString(m[4], "$1"))
	} else if m := syncTable.FindStringSubmatch(st.text); m != nil {
		sqlState, refusal = s.sync(strings.ToLower(m[1] + "." + m[2] + "." + m[3]))
	} else {
		s.unexpected = append(s.unexpected, st.text)
		sqlState, refusal = "42601", invalid("[PARSE_SYNTAX_ERROR] This workspace does not play this statement.")
	}
	if refusal != nil {
		st.state, st.sql, st.error = "FAILED", sqlState, &statementError{"BAD_REQUEST", refusal.Message}
	}
}

// create: https://docs.databricks.com/sql/language-manual/sql-ref-syntax-ddl-create-table-using.html
func (s *Server) create(catalog, schema, name, url string) (string, *failure) {
	url = strings.TrimSuffix(url, "/")
	c := s.state.schemas[catalog+"."+schema]
	if c == nil {
		return "42704", invalid("[SCHEMA_NOT_FOUND] The schema `" + schema + "` cannot be found.")
	}
	if refusal := s.need("catalog", catalog, "", "USE_CATALOG"); refusal != nil {
		return "42501", unauthorized(refusal)
	}
	full := catalog + "." + schema + "." + name
	if s.state.tables[full] != nil {
		return "", nil // IF NOT EXISTS
	}
	refusal := s.covered(url, "CREATE_EXTERNAL_TABLE")
	switch {
	case refusal != nil && refusal.Status == http.StatusForbidden:
		return "42501", unauthorized(refusal)
	case refusal != nil:
		return "22023", refusal
	}
	if refusal := s.overlaps(url); refusal != nil {
		return "22023", refusal
	}
	described, err := s.opts.Describe(url)
	if err != nil {
		return "42K03", invalid("[DELTA_PATH_DOES_NOT_EXIST] " + url + " doesn't exist, or is not a Delta table. " + err.Error())
	}
	s.state.tables[full] = &table{Name: name, CatalogName: catalog, SchemaName: schema, FullName: full, Type: "EXTERNAL", Format: "DELTA",
		Location: url, Columns: described.columns(), Comment: described.Description, Owner: Principal, CreatedAt: s.now()}
	return "", nil
}

func unauthorized(f *failure) *failure {
	return invalid("[UNAUTHORIZED_ACCESS] Unauthorized access: PERMISSION_DENIED: " + f.Message + " SQLSTATE: 42501")
}

// overlaps: tables contain no tables, and managed storage is no place for one.
// https://docs.databricks.com/volumes/paths.html
func (s *Server) overlaps(url string) *failure {
	const class = "[RequestId=1 ErrorClass=INVALID_PARAMETER_VALUE.LOCATION_OVERLAP] Input path url '"
	for _, t := range s.state.tables {
		if within(url, t.Location) || within(t.Location, url) {
			return invalid(class + url + "' overlaps with other external tables or volumes. Conflicting table: " + t.FullName)
		}
	}
	for _, c := range s.state.schemas {
		if c.StorageRoot != "" && (within(c.StorageRoot, url) || within(url, c.StorageLocation)) {
			return invalid(class + url + "' overlaps with managed storage")
		}
	}
	return nil
}

// sync: https://docs.databricks.com/sql/language-manual/sql-ref-syntax-ddl-repair-table.html
func (s *Server) sync(full string) (string, *failure) {
	t := s.state.tables[full]
	if t == nil {
		return "42P01", invalid("[TABLE_OR_VIEW_NOT_FOUND] The table or view `" + full + "` cannot be found.")
	}
	described, err := s.opts.Describe(t.Location)
	if err != nil {
		return "42K03", invalid("[DELTA_PATH_DOES_NOT_EXIST] " + err.Error())
	}
	t.Columns, t.Comment = described.columns(), described.Description
	return "", nil
}
