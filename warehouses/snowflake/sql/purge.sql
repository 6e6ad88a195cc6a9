DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  DELETE FROM {{.Data "RUNS"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}};
  DELETE FROM {{.Data "LOADS"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}};
  DELETE FROM {{.Data "LATEST_MOVES"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}};
  COMMIT;
  DROP VIEW IF EXISTS {{.Shared .View}};
{{- range .Tables}}
  DROP VIEW IF EXISTS {{$.Shared .}};
  DROP TABLE IF EXISTS {{$.Data .}};
{{- end}}
  BEGIN TRANSACTION;
  DELETE FROM {{.Data "SCHEMA_FIELDS"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}};
  DELETE FROM {{.Data "SCHEMA_VERSIONS"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}};
  COMMIT;
  RETURN {{len .Tables}};
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
