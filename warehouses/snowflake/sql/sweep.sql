DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
  swept INTEGER DEFAULT 0;
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  DELETE FROM {{.Data .Table}} WHERE "_LOAD_ID" = {{lit .LoadID}};
  swept := SQLROWCOUNT;
  INSERT INTO {{.Data "LOADS"}} ("LOAD_ID", "WORKFLOW_ID", "JOB_ID", "SCHEMA_VERSION", "GENERATION", "ROW_COUNT", "STATE", "FENCE")
  SELECT DISTINCT l."LOAD_ID", l."WORKFLOW_ID", l."JOB_ID", l."SCHEMA_VERSION", l."GENERATION", l."ROW_COUNT", 'SWEPT', {{.Fence}}
  FROM {{.Data "LOADS"}} l WHERE l."LOAD_ID" = {{lit .LoadID}} AND l."STATE" = 'LOADED';
  COMMIT;
  RETURN swept;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
