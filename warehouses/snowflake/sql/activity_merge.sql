MERGE INTO {{.Data "ACTIVITY_LOG"}} a USING (
  SELECT
{{- range $i, $c := .ActivityColumns}}{{if $i}},{{end}} column{{inc $i}}::{{$c.Type}} AS {{ident $c.Name}}{{end}}
  FROM VALUES
{{- range $i, $r := .Rows}}{{if $i}},{{end}}
    ({{range $j, $c := $.ActivityColumns}}{{if $j}}, {{end}}?{{end}})
{{- end}}
) n
ON a."EVENT_ID" = n."EVENT_ID"
WHEN NOT MATCHED THEN INSERT ({{names .ActivityColumns}})
VALUES ({{range $i, $c := .ActivityColumns}}{{if $i}}, {{end}}n.{{ident $c.Name}}{{end}})
