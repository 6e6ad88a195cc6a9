MERGE INTO {{.Data .FenceTable}} f USING (SELECT {{lit .Workflow}} AS "LANE", {{.Fence}} AS "FENCE") n
ON f."LANE" = n."LANE"
WHEN NOT MATCHED THEN INSERT ("LANE", "FENCE") VALUES (n."LANE", n."FENCE")
