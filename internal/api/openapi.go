package api

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/tokens"
)

// object is one of JSON; its keys are written in order.
type object = map[string]any

// timeOf stands for a time in a query.
type timeOf struct{}

// Description is the OpenAPI 3.1 document of the API: made of the very routes
// and types that answer, so that it cannot say another thing.
// https://spec.openapis.org/oas/v3.1.0
func Description() ([]byte, error) {
	s := schemas{}
	paths := map[string]object{}
	for _, r := range routes() {
		if paths[r.path] == nil {
			paths[r.path] = object{}
		}
		paths[r.path][strings.ToLower(r.method)] = s.operation(r)
	}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "Waybill", "version": "1", "description": "Delivers the results of finished workflow runs to where customers read data. " +
			"A token is made with `waybill token create`. Every problem is a document of RFC 9457; nothing but the statuses that stand here is answered."},
		"paths":      paths,
		"security":   []object{{"token": []string{}}},
		"components": object{"schemas": s, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the API's description: %w", err)
	}
	return append(text, '\n'), nil
}

func (s schemas) operation(r route) object {
	scope := "Needs a token of scope " + string(r.scope) + "."
	if r.scope == tokens.Producer {
		scope = "Any token will do."
	}
	op := object{"operationId": r.id, "summary": r.summary, "description": scope}
	var params []object
	if strings.Contains(r.path, "{id}") {
		params = append(params, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range r.query {
		params = append(params, object{"name": q.name, "in": "query", "description": q.what, "schema": s.of(reflect.TypeOf(q.of))})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.body != nil {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(r.body))}}}
	}
	answers := object{}
	for status, v := range r.answers {
		answer := object{"description": http.StatusText(status)}
		if v != nil {
			answer["content"] = object{"application/json": object{"schema": s.of(reflect.TypeOf(v))}}
		}
		answers[strconv.Itoa(status)] = answer
	}
	problemSchema := object{"application/problem+json": object{"schema": s.of(reflect.TypeFor[Problem]())}}
	for _, status := range slices.Concat(everywhere, r.refusals) {
		answers[strconv.Itoa(status)] = object{"description": kinds[status].title, "content": problemSchema}
	}
	answers["default"] = object{"description": kinds[http.StatusInternalServerError].title, "content": problemSchema}
	op["responses"] = answers
	return op
}

// schemas are those of named types, by name.
type schemas map[string]object

// names are those of types whose own name another one has too.
var names = map[reflect.Type]string{
	reflect.TypeFor[Connector]():        "ConnectorStanding",
	reflect.TypeFor[Put]():              "ConnectorPut",
	reflect.TypeFor[waybill.Problem]():  "Fault",
	reflect.TypeFor[waybill.Problems](): "Faults",
}

// enums are the values of types that have few.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[waybill.State]():     texts(waybill.States()),
	reflect.TypeFor[waybill.Stage]():     texts(waybill.Stages()),
	reflect.TypeFor[connectors.Change](): texts([]connectors.Change{connectors.Created, connectors.Changed, connectors.Unchanged}),
	reflect.TypeFor[waybill.Verdict]():   texts([]waybill.Verdict{waybill.Transient, waybill.Throttled, waybill.Blocked, waybill.Permanent}),
}

func texts[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

var textType = reflect.TypeFor[encoding.TextMarshaler]()

// of is the schema of how a type is written as JSON.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[timeOf]():
		return object{"type": "string", "format": "date-time"}
	case enums[t] != nil:
		return object{"type": "string", "enum": enums[t]}
	case t.Implements(textType):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.String:
		return object{"type": "string"}
	}
	panic("api: no schema for " + t.String())
}

func (s schemas) named(t reflect.Type) object {
	name := t.Name()
	if other := names[t]; other != "" {
		name = other
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if s[name] != nil {
		return ref
	}
	schema := object{"type": "object"}
	s[name] = schema // before its fields, which may hold the same type
	properties, required := object{}, []string{}
	s.fields(t, properties, &required)
	schema["properties"], schema["required"] = properties, required
	return ref
}

func (s schemas) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		tag, named := f.Tag.Lookup("json")
		if f.Anonymous && !named {
			s.fields(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		properties[name] = s.of(f.Type)
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}
