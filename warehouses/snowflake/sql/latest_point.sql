DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  COMMIT;
  CREATE OR REPLACE SECURE VIEW {{.Shared .View}} COPY GRANTS COMMENT = {{lit .Comment}} AS
  SELECT {{range $i, $c := .Columns}}{{if $i}}, {{end}}t.{{ident $c}}{{end}} FROM {{.Shared .Table}} t;
  GRANT SELECT ON VIEW {{.Shared .View}} TO SHARE {{ident .Share}};
  INSERT INTO {{.Data "LATEST_MOVES"}} ("WORKFLOW_ID", "SCHEMA_VERSION", "PINNED", "MOVED_AT", "FENCE")
  VALUES ({{lit .Workflow}}, {{.Version}}, {{bool .Pinned}}, SYSDATE(), {{.Fence}});
  RETURN {{.Version}};
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
