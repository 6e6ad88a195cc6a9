DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
  hidden INTEGER DEFAULT 0;
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  INSERT INTO {{.Data "RUNS"}} ({{columns .RunColumns}}, "GENERATION", "LOAD_ID", "FENCE")
  SELECT r."WORKFLOW_ID", r."JOB_ID", r."SCHEMA_VERSION", r."ROW_COUNT", r."QUARANTINED_COUNT", r."CAST_FAILURE_COUNT", 'UNPUBLISHED', r."RUN_FINISHED_AT", r."PUBLISHED_AT", r."REVISION", r."GENERATION", r."LOAD_ID", {{.Fence}}
  FROM {{.Data "RUNS_CURRENT"}} r
  WHERE r."WORKFLOW_ID" = {{lit .Workflow}} AND r."JOB_ID" = {{lit .Job}} AND r."STATUS" = 'PUBLISHED';
  hidden := SQLROWCOUNT;
  COMMIT;
  RETURN hidden;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
