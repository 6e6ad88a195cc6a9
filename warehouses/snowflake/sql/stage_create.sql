CREATE STAGE IF NOT EXISTS {{.Staging "INGEST"}}
{{- if .Integration}}
  URL = {{lit .URL}}
  STORAGE_INTEGRATION = {{ident .Integration}}
{{- end}}
  COMMENT = {{lit .Mark}}
