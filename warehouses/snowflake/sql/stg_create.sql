CREATE OR REPLACE TRANSIENT TABLE {{.Staging .Stg}} (
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
  {{ident $c.Name}} {{$c.Type}}
{{- end}}
) DATA_RETENTION_TIME_IN_DAYS = 0 COMMENT = {{lit .Workflow}}
