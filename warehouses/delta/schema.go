package delta

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/waybillhq/waybill"
)

// Delta's type of each column type:
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md#primitive-types
var typeNames = map[waybill.ColumnType]string{
	waybill.ColumnText:      "string",
	waybill.ColumnJSON:      "string",
	waybill.ColumnDouble:    "double",
	waybill.ColumnInteger:   "long",
	waybill.ColumnMoney:     "decimal(38,9)",
	waybill.ColumnBoolean:   "boolean",
	waybill.ColumnDate:      "date",
	waybill.ColumnTimestamp: "timestamp",
}

// TypeName is Delta's type of a column, e.g. decimal(38,9).
func TypeName(t waybill.ColumnType) string { return typeNames[t] }

// field is a column in a table's schema.
type field struct {
	Name     string         `json:"name"`
	Type     any            `json:"type"` // a type's name; of nested types, an object
	Nullable bool           `json:"nullable"`
	Metadata map[string]any `json:"metadata"`
}

type tableSchema struct {
	Type   string  `json:"type"` // struct
	Fields []field `json:"fields"`
}

// schemaString is the schema of columns, as a table's metadata has it.
func schemaString(columns []waybill.Column) string {
	s := tableSchema{Type: "struct"}
	for _, c := range columns {
		s.Fields = append(s.Fields, field{Name: c.Name, Type: typeNames[c.Type], Nullable: true, Metadata: map[string]any{}})
	}
	text, _ := json.Marshal(s) //nolint:errchkjson // texts always marshal
	return string(text)
}

func parseSchema(text string) ([]field, error) {
	var s tableSchema
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("schemaString: %w", err)
	}
	if s.Type != "struct" || len(s.Fields) == 0 {
		return nil, fmt.Errorf("schemaString is a %q of %d fields, not a struct", s.Type, len(s.Fields))
	}
	return s.Fields, nil
}

// sameColumns reports whether two schemas have the same names and types in the same order.
func sameColumns(a, b []field) bool {
	return slices.EqualFunc(a, b, func(x, y field) bool { return x.Name == y.Name && x.Type == y.Type })
}

// node is the Parquet column of a field, of the types that are written.
func (f field) node() (schema.Node, error) {
	const noLength, noID = -1, -1
	optional := parquet.Repetitions.Optional
	logical := func(t schema.LogicalType, physical parquet.Type, length int) (schema.Node, error) {
		return schema.NewPrimitiveNodeLogical(f.Name, optional, t, physical, length, noID)
	}
	switch f.Type {
	case "string":
		return logical(schema.StringLogicalType{}, parquet.Types.ByteArray, noLength)
	case "double":
		return schema.NewPrimitiveNode(f.Name, optional, parquet.Types.Double, noID, noLength)
	case "long":
		return schema.NewPrimitiveNode(f.Name, optional, parquet.Types.Int64, noID, noLength)
	case "boolean":
		return schema.NewPrimitiveNode(f.Name, optional, parquet.Types.Boolean, noID, noLength)
	case "date":
		return logical(schema.DateLogicalType{}, parquet.Types.Int32, noLength)
	case "timestamp":
		return logical(schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, noLength)
	case "decimal(38,9)":
		return logical(schema.NewDecimalLogicalType(38, moneyScale), parquet.Types.FixedLenByteArray, 16)
	}
	return nil, fmt.Errorf("column %s has the type %v, which is not written", f.Name, f.Type)
}

// moneyScale is how many decimals a money column has.
const moneyScale = 9

func parquetRoot(fields []field) (*schema.GroupNode, error) {
	nodes := make(schema.FieldList, len(fields))
	for i, f := range fields {
		node, err := f.node()
		if err != nil {
			return nil, err
		}
		nodes[i] = node
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
}
