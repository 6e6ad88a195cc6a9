DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  INSERT INTO {{.Data "SCHEMA_FIELDS"}} ({{columns .FieldColumns}})
  SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9 FROM VALUES
{{- range $i, $f := .Fields}}{{if $i}},{{end}}
    ({{lit $.Workflow}}, {{$.Version}}, {{$f.Position}}, {{lit $f.Source}}, {{lit $f.Column}}, {{lit $f.SourceType}}, {{lit $f.TargetType}}, {{lit $f.Cast}}, {{bool $f.IsKey}})
{{- end}}
  WHERE NOT EXISTS (SELECT 1 FROM {{.Data "SCHEMA_VERSIONS"}} v WHERE v."WORKFLOW_ID" = {{lit .Workflow}} AND v."SCHEMA_VERSION" = {{.Version}});
  INSERT INTO {{.Data "SCHEMA_VERSIONS"}} ("WORKFLOW_ID", "SCHEMA_VERSION", "TABLE_NAME", "FIELD_COUNT", "FINGERPRINT", "FIRST_SEEN_AT")
  SELECT {{lit .Workflow}}, {{.Version}}, {{lit .Table}}, {{.FieldCount}}, {{lit .Fingerprint}}, SYSDATE()
  WHERE NOT EXISTS (SELECT 1 FROM {{.Data "SCHEMA_VERSIONS"}} v WHERE v."WORKFLOW_ID" = {{lit .Workflow}} AND v."SCHEMA_VERSION" = {{.Version}});
  COMMIT;
  RETURN {{.Version}};
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
