COPY INTO {{.Staging .Stg}} FROM {{lit (printf "@%s/%s" (.Staging "INGEST") .Path)}}
FILES = ({{range $i, $f := .Files}}{{if $i}}, {{end}}{{lit $f}}{{end}})
FILE_FORMAT = (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE)
MATCH_BY_COLUMN_NAME = CASE_SENSITIVE
ON_ERROR = ABORT_STATEMENT FORCE = TRUE PURGE = FALSE
