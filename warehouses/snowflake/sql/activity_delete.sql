DELETE FROM {{.Data "ACTIVITY_LOG"}} WHERE "WORKFLOW_ID" = {{lit .Workflow}}
