DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  BEGIN TRANSACTION;
  UPDATE {{.Data .FenceTable}} SET "FENCE" = {{.Fence}} WHERE "FENCE" <= {{.Fence}};
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  INSERT INTO {{.Data "WORKFLOWS"}} ("WORKFLOW_ID", "HIDDEN", "FENCE")
  SELECT {{lit .Workflow}}, FALSE, {{.Fence}}
  WHERE EXISTS (SELECT 1 FROM {{.Data "WORKFLOWS_HIDDEN"}} h WHERE h."WORKFLOW_ID" = {{lit .Workflow}});
  COMMIT;
{{- range .Views}}
  GRANT SELECT ON VIEW {{$.Shared .}} TO SHARE {{ident $.Share}};
{{- end}}
  RETURN {{len .Views}};
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
