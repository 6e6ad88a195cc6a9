DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
  wrong_count EXCEPTION (-20002, 'the rows are not those of the run');
  seen INTEGER DEFAULT 0;
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  INSERT INTO {{.Data "RUNS"}} ({{columns .RunColumns}}, "GENERATION", "LOAD_ID", "FENCE")
  SELECT {{lit .Workflow}}, {{lit .Job}}, {{.Version}}, {{.Rows}}, {{.Quarantined}}, {{.CastFailures}}, 'PUBLISHED', {{time .FinishedAt}}, SYSDATE(), {{lit .Revision}}, {{.Generation}}, {{lit .LoadID}}, {{.Fence}}
  WHERE NOT EXISTS (SELECT 1 FROM {{.Data "RUNS_CURRENT"}} r WHERE r."LOAD_ID" = {{lit .LoadID}} AND r."STATUS" = 'PUBLISHED');
  INSERT INTO {{.Data "WORKFLOWS"}} ("WORKFLOW_ID", "HIDDEN", "FENCE")
  SELECT {{lit .Workflow}}, FALSE, {{.Fence}}
  WHERE EXISTS (SELECT 1 FROM {{.Data "WORKFLOWS_HIDDEN"}} h WHERE h."WORKFLOW_ID" = {{lit .Workflow}});
  SELECT COUNT(*) INTO :seen FROM {{.Shared .Table}} WHERE {{ident .JobColumn}} = {{lit .Job}};
  IF (seen <> {{.Rows}}) THEN
    RAISE wrong_count;
  END IF;
  COMMIT;
  RETURN seen;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
