CREATE TABLE IF NOT EXISTS {{.Data .Name}} (
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
  {{ident $c.Name}} {{$c.Type}}
{{- end}}
) COMMENT = {{lit .Comment}}
