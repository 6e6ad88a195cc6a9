package waybill

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// MaxNameLength is the largest number of characters of a table's or column's
// name, in every warehouse.
const MaxNameLength = 255

var plainWorkflowID = regexp.MustCompile(`^wf_[a-z0-9_]+$`)

// WorkflowTable is the part of a workflow's table names that its id gives:
// WF_EARTHQUAKES of wf_earthquakes. An id of another form, such as
// Prices-2025, takes 8 digits of its hash: WF_PRICES_2025_DF410D95. The name
// does not depend on what other workflows there are.
func WorkflowTable(workflowID string) string {
	part := "WF_" + fold(strings.TrimPrefix(workflowID, "wf_"))
	if plainWorkflowID.MatchString(workflowID) {
		return part
	}
	return withSuffix(part, workflowID, suffixDigits)
}

// VersionTable is the name of a workflow's table of one schema version: WF_EARTHQUAKES__V3.
func VersionTable(workflowID string, version int) string {
	return fmt.Sprintf("%s__V%d", WorkflowTable(workflowID), version)
}

// LatestTable is the name of a workflow's table of its newest schema: WF_EARTHQUAKES__LATEST.
func LatestTable(workflowID string) string { return WorkflowTable(workflowID) + "__LATEST" }

// ColumnType is what a column of a warehouse holds. A warehouse has a type of
// its own for each.
type ColumnType string

// The column types.
const (
	ColumnText      ColumnType = "text"
	ColumnJSON      ColumnType = "json"      // JSON text
	ColumnDouble    ColumnType = "double"    //
	ColumnInteger   ColumnType = "integer"   // 64 bits; in the tables about workflows only
	ColumnMoney     ColumnType = "money"     // decimal(38,9), in major units
	ColumnBoolean   ColumnType = "boolean"   //
	ColumnDate      ColumnType = "date"      //
	ColumnTimestamp ColumnType = "timestamp" // microseconds, UTC
)

// CastPolicy says what becomes of a value that does not fit its column.
type CastPolicy string

// The cast policies.
const (
	CastExact CastPolicy = "exact"    // every value fits
	CastTry   CastPolicy = "try_cast" // it is NULL, and counted
	CastJSON  CastPolicy = "json"     // it is kept as JSON text
)

// Column is one column of a warehouse's table.
type Column struct {
	Name string     `json:"name"`
	Type ColumnType `json:"type"`

	// Of a column that a workflow's field gives:
	Field    string     `json:"field,omitempty"`    // the field's own name
	DataType DataType   `json:"dataType,omitempty"` // the field's
	Cast     CastPolicy `json:"cast,omitempty"`     //
	Currency bool       `json:"currency,omitempty"` // the currency of a MONEY field, the column after its amount
	IsKey    bool       `json:"isKey,omitempty"`    //
}

// JobColumn and FinishedColumn are the last columns of a workflow's tables:
// the job that a row came with, and the time it finished. The brand gives the
// first part of their names: KADOA_JOB_ID.
func JobColumn(brand string) Column {
	return Column{Name: fold(brand) + "_JOB_ID", Type: ColumnText}
}

// FinishedColumn is described at [JobColumn].
func FinishedColumn(brand string) Column {
	return Column{Name: fold(brand) + "_RUN_FINISHED_AT", Type: ColumnTimestamp}
}

// Columns are the columns of a workflow's V<n> and LATEST tables: those of the
// delivered fields in descriptor order, the currency of a MONEY field after
// its amount, then [JobColumn] and [FinishedColumn]. Names are upper-case and
// unique; where folding makes two of them equal, both take 8 hex digits of the
// hash of their field's own name.
func (s Schema) Columns(brand string) []Column {
	system := []Column{JobColumn(brand), FinishedColumn(brand)}
	var columns []Column
	for _, f := range s.Exported() {
		t, cast := columnType(f.DataType)
		columns = append(columns, Column{Name: fold(f.Name), Type: t, Field: f.Name, DataType: f.DataType, Cast: cast, IsKey: f.IsKey})
		if f.DataType == Money {
			columns = append(columns, Column{Name: fold(f.Name) + "_CURRENCY", Type: ColumnText,
				Field: f.Name, DataType: f.DataType, Cast: cast, Currency: true})
		}
	}
	columns = append(columns, system...)
	makeUnique(columns)
	return columns
}

func columnType(t DataType) (ColumnType, CastPolicy) {
	switch t {
	case Number:
		return ColumnDouble, CastTry
	case Money:
		return ColumnMoney, CastTry
	case Boolean:
		return ColumnBoolean, CastTry
	case Date:
		return ColumnDate, CastTry
	case DateTime:
		return ColumnTimestamp, CastTry
	case Object, Array:
		return ColumnJSON, CastJSON
	default:
		return ColumnText, CastExact
	}
}

const suffixDigits = 8

// makeUnique gives a suffix to names that are too long, and to all that are
// equal; the system columns, which have no field, keep theirs. Digits are
// added until no two names are equal: a field may be named like a suffix.
func makeUnique(columns []Column) {
	plain := make([]string, len(columns))
	for i, c := range columns {
		plain[i] = c.Name
		if len(c.Name) > MaxNameLength {
			columns[i].Name = withSuffix(c.Name, c.Field, suffixDigits)
		}
	}
	for digits := suffixDigits; digits <= 2*sha256.Size; digits += suffixDigits {
		count := map[string]int{}
		for _, c := range columns {
			count[c.Name]++
		}
		unique := true
		for i, c := range columns {
			if count[c.Name] > 1 && c.Field != "" {
				columns[i].Name = withSuffix(plain[i], c.Field, digits)
				unique = false
			}
		}
		if unique {
			return
		}
	}
}

// withSuffix appends digits of the original's hash, and cuts the name so that it fits.
func withSuffix(name, original string, digits int) string {
	sum := sha256.Sum256([]byte(original))
	suffix := "_" + strings.ToUpper(hex.EncodeToString(sum[:digits/2]))
	return name[:min(len(name), MaxNameLength-len(suffix))] + suffix
}

// fold makes a text upper-case letters, digits and "_".
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, s)
}
