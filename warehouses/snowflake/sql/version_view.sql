CREATE SECURE VIEW IF NOT EXISTS {{.Shared .Table}} COMMENT = {{lit .Comment}} AS
SELECT
{{- range $i, $c := .Columns}}{{if $i}},{{end}}
  {{value "t" $c}}
{{- end}}
FROM {{.Data .Table}} t
WHERE EXISTS (SELECT 1 FROM {{.Data "RUNS_CURRENT"}} r WHERE r."LOAD_ID" = t."_LOAD_ID" AND r."STATUS" = 'PUBLISHED')
