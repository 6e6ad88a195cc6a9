package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Setting is one line of the table of settings.
type Setting struct {
	Path    string // redis.sentinel.master
	Env     string // WAYBILL_REDIS_SENTINEL_MASTER; lists are comma-separated
	Default string // as written; empty: none
	Help    string
}

// Settings lists every setting, in the order of the configuration file.
func Settings() []Setting {
	c := Default()
	var settings []Setting
	eachSetting("", reflect.ValueOf(&c).Elem(), func(path string, f reflect.StructField, v reflect.Value) {
		s := Setting{Path: path, Env: variable(path), Help: f.Tag.Get("help")}
		if !v.IsZero() {
			s.Default = fmt.Sprint(v)
		}
		settings = append(settings, s)
	})
	return settings
}

// Reference is a setting that refers to a secret.
type Reference struct {
	Path string // bucket.secretAccessKey
	Ref  secrets.Ref
}

// References lists the settings that refer to a secret.
func (c Config) References() []Reference {
	var refs []Reference
	eachSetting("", reflect.ValueOf(&c).Elem(), func(path string, _ reflect.StructField, v reflect.Value) {
		if ref, ok := reflect.TypeAssert[secrets.Ref](v); ok && !ref.IsZero() {
			refs = append(refs, Reference{path, ref})
		}
	})
	for i, t := range c.Tokens {
		refs = append(refs, Reference{element("tokens", i) + ".hash", t.Hash})
	}
	return refs
}

func eachSetting(path string, v reflect.Value, visit func(string, reflect.StructField, reflect.Value)) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		field, at := v.FieldByIndex(f.Index), join(path, key)
		if field.Kind() == reflect.Struct && !isLeaf(field.Type()) {
			eachSetting(at, field, visit)
		} else {
			visit(at, f, field)
		}
	}
}

// variable is the name of the variable that overrides the setting at path:
// bucket.accessKeyId is WAYBILL_BUCKET_ACCESS_KEY_ID.
func variable(path string) string {
	var b strings.Builder
	b.WriteString("WAYBILL_")
	for _, c := range path {
		if unicode.IsUpper(c) {
			b.WriteByte('_')
		}
		if c == '.' {
			c = '_'
		}
		b.WriteRune(unicode.ToUpper(c))
	}
	return b.String()
}

// override sets what the environment names. Other variables that begin with
// WAYBILL_ are left alone: an orchestrator adds its own for a service of that name.
func (p *places) override(c *Config, lookup func(string) (string, bool)) (problems waybill.Problems) {
	p.vars = map[string]string{}
	eachSetting("", reflect.ValueOf(c).Elem(), func(path string, _ reflect.StructField, v reflect.Value) {
		name := variable(path)
		text, set := lookup(name)
		if !set {
			return
		}
		p.vars[path] = name
		if err := setFromVariable(v, text); err != nil {
			problems.Addf(path, "%s", err)
		}
	})
	return locate(problems, p.where)
}

func setFromVariable(v reflect.Value, text string) error {
	if v.Kind() != reflect.Slice {
		return setText(v, text)
	}
	if !isLeaf(v.Type().Elem()) {
		return errors.New("is a list of mappings, which no variable can hold; write it into the file")
	}
	items := strings.Split(text, ",")
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := setText(list.Index(i), strings.TrimSpace(item)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}
