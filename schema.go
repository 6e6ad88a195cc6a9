package waybill

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DataType is the type a workflow's author gave a field.
type DataType string

// The data types of a workflow's fields.
const (
	String         DataType = "STRING"
	Number         DataType = "NUMBER"
	Boolean        DataType = "BOOLEAN"
	Date           DataType = "DATE"
	DateTime       DataType = "DATETIME"
	Money          DataType = "MONEY"
	Image          DataType = "IMAGE"
	Link           DataType = "LINK"
	Classification DataType = "CLASSIFICATION"
	Object         DataType = "OBJECT"
	Array          DataType = "ARRAY"
)

// DataTypes lists every data type in the order of the documentation.
func DataTypes() []DataType {
	return []DataType{String, Number, Boolean, Date, DateTime, Money, Image, Link, Classification, Object, Array}
}

// FieldType says where a field comes from.
type FieldType string

// The field types. A field without one is SCHEMA.
const (
	FieldSchema          FieldType = "SCHEMA"
	FieldClassification  FieldType = "CLASSIFICATION"
	FieldTransformOutput FieldType = "TRANSFORM_OUTPUT"
)

// DateOrder says how a date such as 03/04/2025 is to be read. Without it such
// dates are not guessed: they become NULL, counted.
type DateOrder string

// The date orders.
const (
	MDY DateOrder = "MDY"
	DMY DateOrder = "DMY"
	YMD DateOrder = "YMD"
)

// MaxFields is the largest number of fields in a descriptor.
const MaxFields = 2000

// Field is one field of a schema descriptor.
type Field struct {
	Name        string    `json:"name"`
	DataType    DataType  `json:"dataType"`
	FieldType   FieldType `json:"fieldType,omitempty"` // empty is SCHEMA
	IsKey       bool      `json:"isKey,omitempty"`
	DateOrder   DateOrder `json:"dateOrder,omitempty"` // DATE and DATETIME only
	Description string    `json:"description,omitempty"`
}

// Internal reports whether the field is internal to the source: its name
// begins with "_". Internal fields are never delivered.
func (f Field) Internal() bool { return strings.HasPrefix(f.Name, "_") }

// Schema is a workflow's schema descriptor: its fields, in order.
type Schema struct {
	Fields []Field `json:"fields"`
}

// Exported returns the fields that are delivered, in descriptor order.
func (s Schema) Exported() []Field {
	return slices.DeleteFunc(slices.Clone(s.Fields), Field.Internal)
}

// Fingerprint identifies the canonical descriptor: the ordered name, dataType,
// fieldType and isKey of the delivered fields. Descriptions, date orders and
// internal fields are not part of it. It is 64 hex digits; two runs of a
// workflow with equal fingerprints share one schema version.
func (s Schema) Fingerprint() string {
	h := sha256.New()
	for _, f := range s.Exported() {
		fmt.Fprintf(h, "%q %q %q %t\n", f.Name, f.DataType, cmp.Or(f.FieldType, FieldSchema), f.IsKey)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// parsing identifies what a descriptor says of how values are read, beyond the
// canonical descriptor.
func (s Schema) parsing() string {
	var b strings.Builder
	for _, f := range s.Exported() {
		if f.DateOrder != "" {
			fmt.Fprintf(&b, "%q %q\n", f.Name, f.DateOrder)
		}
	}
	return b.String()
}

var fieldName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)

// Validate returns everything wrong with the descriptor.
func (s Schema) Validate() Problems {
	var p Problems
	switch {
	case len(s.Fields) == 0:
		p.Addf("fields", "is empty; give at least one field with a name and a dataType")
	case len(s.Fields) > MaxFields:
		p.Addf("fields", "has %d fields; at most %d are delivered", len(s.Fields), MaxFields)
		return p
	case len(s.Exported()) == 0:
		p.Addf("fields", `has internal fields only (names beginning with "_"); give at least one other field`)
	}
	first := make(map[string]int, len(s.Fields))
	for i, f := range s.Fields {
		p.Add(fmt.Sprintf("fields[%d]", i), f.validate())
		if j, dup := first[f.Name]; dup {
			p.Addf(fmt.Sprintf("fields[%d].name", i), "%q is also the name of fields[%d]; names are unique", f.Name, j)
		} else {
			first[f.Name] = i
		}
	}
	return p
}

func (f Field) validate() Problems {
	var p Problems
	if !f.Internal() && (!fieldName.MatchString(f.Name) || len(f.Name) > 255) {
		p.Addf("name", "%s is not a field name; use a letter, then letters, digits and _, at most 255 characters", Quote(f.Name))
	}
	if !slices.Contains(DataTypes(), f.DataType) {
		p.Addf("dataType", "%s is not a data type; use one of %s", Quote(string(f.DataType)), join(DataTypes()))
	}
	types := []FieldType{FieldSchema, FieldClassification, FieldTransformOutput}
	if f.FieldType != "" && !slices.Contains(types, f.FieldType) {
		p.Addf("fieldType", "%s is not a field type; use one of %s, or leave it out", Quote(string(f.FieldType)), join(types))
	}
	orders := []DateOrder{MDY, DMY, YMD}
	if f.DateOrder != "" && !slices.Contains(orders, f.DateOrder) {
		p.Addf("dateOrder", "%s is not a date order; use one of %s, or leave it out", Quote(string(f.DateOrder)), join(orders))
	} else if f.DateOrder != "" && f.DataType != Date && f.DataType != DateTime {
		p.Addf("dateOrder", "belongs to DATE and DATETIME fields; this field is %s", f.DataType)
	}
	return p
}

func join[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
