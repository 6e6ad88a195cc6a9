DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
  wrong_count EXCEPTION (-20002, 'the rows are not those of the run');
  loaded INTEGER DEFAULT 0;
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  DELETE FROM {{.Data .Table}} WHERE "_LOAD_ID" = {{lit .LoadID}};
  INSERT INTO {{.Data .Table}} ({{names .Columns}}, {{ident .JobColumn}}, {{ident .FinishedColumn}}, "_LOAD_ID")
  SELECT {{names .Columns}}, {{lit .Job}}, {{time .FinishedAt}}, {{lit .LoadID}} FROM {{.Staging .Stg}};
  loaded := SQLROWCOUNT;
  IF (loaded <> {{.Rows}}) THEN
    RAISE wrong_count;
  END IF;
  INSERT INTO {{.Data "LOADS"}} ("LOAD_ID", "WORKFLOW_ID", "JOB_ID", "SCHEMA_VERSION", "GENERATION", "ROW_COUNT", "STATE", "FENCE")
  VALUES ({{lit .LoadID}}, {{lit .Workflow}}, {{lit .Job}}, {{.Version}}, {{.Generation}}, {{.Rows}}, 'LOADED', {{.Fence}});
  COMMIT;
  DROP TABLE IF EXISTS {{.Staging .Stg}};
  RETURN loaded;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
