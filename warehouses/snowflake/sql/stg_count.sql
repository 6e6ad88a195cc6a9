SELECT COUNT(*)
{{- range .Columns}}, COUNT({{ident .Name}}){{end}}
FROM {{.Staging .Stg}}
