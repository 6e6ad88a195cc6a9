package snowflake

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// The schemas of a connector's database. Only the last is ever granted.
const (
	schemaData    = "DATA"    // provider tables and what is known of them
	schemaStaging = "STAGING" // the stage, and tables of attempts under way
	schemaShared  = "SHARED"  // the customer's views
)

// place is where a connector's things are in our account: a database and a
// share of one name, both marked as the connector's. What is not so marked is
// never adopted.
type place struct {
	Brand     string
	Connector string
	Team      string
	Database  string // of the database, and of the share and the listing
}

var connectorID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// newPlace derives the names. A connector's id has no "_", so that two never
// share a database.
func newPlace(brand, connector, team string) (place, error) {
	if !connectorID.MatchString(connector) {
		return place{}, fmt.Errorf("%s is not a connector id; use 1 to 63 lower-case letters, digits and -", waybill.Quote(connector))
	}
	if !waybill.ValidID(team) {
		return place{}, fmt.Errorf("%s is not a team id", waybill.Quote(team))
	}
	prefix := strings.TrimSuffix(waybill.JobColumn(brand).Name, "JOB_ID") // KADOA_: the brand, folded as in column names
	return place{Brand: brand, Connector: connector, Team: team,
		Database: prefix + strings.ReplaceAll(strings.ToUpper(connector), "-", "_")}, nil
}

// mark is the comment by which a thing is known to be the connector's.
func (p place) mark() string {
	return fmt.Sprintf("waybill: connector %s of team %s", p.Connector, p.Team)
}

// column is a column of a table of ours.
type column struct {
	Name string
	Type string // Snowflake's
	JSON bool   // text in the table, VARIANT in the view
}

// snowflakeTypes is the one table of types.
// https://docs.snowflake.com/en/sql-reference/intro-summary-data-types
var snowflakeTypes = map[waybill.ColumnType]string{
	waybill.ColumnText:      "VARCHAR",
	waybill.ColumnJSON:      "VARCHAR",
	waybill.ColumnDouble:    "FLOAT",
	waybill.ColumnInteger:   "NUMBER(38,0)",
	waybill.ColumnMoney:     "NUMBER(38,9)",
	waybill.ColumnBoolean:   "BOOLEAN",
	waybill.ColumnDate:      "DATE",
	waybill.ColumnTimestamp: "TIMESTAMP_NTZ",
}

func columnOf(c waybill.Column) column {
	return column{Name: c.Name, Type: snowflakeTypes[c.Type], JSON: c.Type == waybill.ColumnJSON}
}

// targetType is what the customer sees a column as.
func targetType(c waybill.Column) string {
	if c.Type == waybill.ColumnJSON {
		return "VARIANT"
	}
	return snowflakeTypes[c.Type]
}

// value is the column as a view shows it.
func (c column) value(alias string) string {
	name := ident(c.Name)
	if c.JSON {
		return fmt.Sprintf("TRY_PARSE_JSON(%s.%s) AS %s", alias, name, name)
	}
	return alias + "." + name
}

// ident quotes an identifier.
// https://docs.snowflake.com/en/sql-reference/identifiers-syntax
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a text. A backslash escapes in Snowflake's literals.
// https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", "").Replace(text) + "'"
}

// timeLiteral is a time in UTC, to the microsecond.
func timeLiteral(t time.Time) string {
	return literal(t.UTC().Format("2006-01-02 15:04:05.000000")) + "::TIMESTAMP_NTZ"
}

// yamlText quotes a text for a listing's manifest, which stands between two
// "$$": JSON's strings are YAML's, and JSON can write a "$" as an escape.
func yamlText(text string) string {
	quoted, _ := json.Marshal(text) //nolint:errchkjson // a string always marshals
	return strings.ReplaceAll(string(quoted), "$", `\u0024`)
}

func list[T any](items []T, text func(T) string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = text(item)
	}
	return strings.Join(texts, ", ")
}
