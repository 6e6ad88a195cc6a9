package snowflake

import (
	"fmt"
	"time"
)

// The kinds of statements that the driver tells apart.
const (
	typeSelect = 0x1000
	typeDML    = 0x3000
	typeInsert = 0x3100
	typeUpdate = 0x3200
	typeDelete = 0x3300
	typeMerge  = 0x3400
	typeCopy   = 0x3600 // not a DML for the driver: no row count without reading the result
	typeOther  = 0x4000
	typeTCL    = 0x5000
	typeDDL    = 0x6000
)

// result is what a statement returns: a table, always.
type result struct {
	columns []column
	rows    [][]*string
	typeID  int
	changed int     // SQLROWCOUNT: rows that a DML statement changed
	upload  *upload // of PUT
}

// status is the result of most statements: one row, one column.
func status(format string, args ...any) *result {
	text := fmt.Sprintf(format, args...)
	return &result{columns: []column{{name: "status", typ: textType(maxLength)}}, rows: [][]*string{{&text}}, typeID: typeDDL}
}

// counted is the result of a DML statement: rows by what happened to them.
func counted(typeID, changed int, names []string, counts ...int) *result {
	r := &result{typeID: typeID, changed: changed, rows: [][]*string{nil}}
	for i, name := range names {
		r.columns = append(r.columns, column{name: name, typ: numberType(18, 0)})
		text := fmt.Sprint(counts[i])
		r.rows[0] = append(r.rows[0], &text)
	}
	return r
}

// table is the result of SHOW and DESC.
func table(names []string, rows ...[]any) *result {
	r := &result{typeID: typeSelect}
	for i, name := range names {
		typ := textType(maxLength)
		for _, row := range rows {
			switch row[i].(type) {
			case time.Time:
				typ = simpleTypes["LTZ"]
			case int:
				typ = numberType(18, 0)
			}
		}
		r.columns = append(r.columns, column{name: name, typ: typ})
	}
	for _, row := range rows {
		texts := make([]*string, len(row))
		for i, v := range row {
			texts[i] = wireValue(v, r.columns[i].typ)
		}
		r.rows = append(r.rows, texts)
	}
	return r
}

type rowType struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Length    int    `json:"length"`
	Precision int    `json:"precision"`
	Scale     int    `json:"scale"`
	Nullable  bool   `json:"nullable"`
}

// data is the result as the driver reads it.
func (r *result) data(s *session, queryID string) map[string]any {
	types := make([]rowType, len(r.columns))
	for i, c := range r.columns {
		types[i] = rowType{c.name, c.typ.wire, c.typ.length, c.typ.precision, c.typ.scale, !c.notNull}
	}
	rows := r.rows
	if rows == nil {
		rows = [][]*string{}
	}
	data := map[string]any{
		"queryId": queryID, "queryResultFormat": "json", "rowtype": types, "rowset": rows,
		"total": len(rows), "returned": len(rows), "statementTypeId": r.typeID, "parameters": s.wireParameters(),
		"finalDatabaseName": s.db, "finalSchemaName": s.schema, "finalWarehouseName": s.warehouse, "finalRoleName": s.role,
	}
	if r.upload != nil {
		r.upload.describe(data)
	}
	return data
}
