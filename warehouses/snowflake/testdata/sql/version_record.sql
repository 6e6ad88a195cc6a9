DECLARE
  lost_fence EXCEPTION (-20001, 'a newer attempt owns the lane');
BEGIN
  BEGIN TRANSACTION;
  UPDATE "KADOA_ACME_SNOWFLAKE"."DATA"."FENCE_WF_MOVIES" SET "FENCE" = 1737000000123 WHERE "FENCE" <= 1737000000123;
  IF (SQLROWCOUNT = 0) THEN
    RAISE lost_fence;
  END IF;
  INSERT INTO "KADOA_ACME_SNOWFLAKE"."DATA"."SCHEMA_FIELDS" ("WORKFLOW_ID", "SCHEMA_VERSION", "POSITION", "SOURCE_NAME", "COLUMN_NAME", "SOURCE_TYPE", "TARGET_TYPE", "CAST_POLICY", "IS_KEY")
  SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9 FROM VALUES
    ('wf_movies', 3, 1, 'Title', 'TITLE', 'STRING', 'VARCHAR', 'exact', TRUE),
    ('wf_movies', 3, 2, 'votes', 'VOTES', 'NUMBER', 'FLOAT', 'try_cast', FALSE),
    ('wf_movies', 3, 3, 'price', 'PRICE', 'MONEY', 'NUMBER(38,9)', 'try_cast', FALSE),
    ('wf_movies', 3, 4, 'price', 'PRICE_CURRENCY', 'MONEY', 'VARCHAR', 'try_cast', FALSE),
    ('wf_movies', 3, 5, 'in_stock', 'IN_STOCK', 'BOOLEAN', 'BOOLEAN', 'try_cast', FALSE),
    ('wf_movies', 3, 6, 'released', 'RELEASED', 'DATE', 'DATE', 'try_cast', FALSE),
    ('wf_movies', 3, 7, 'seen_at', 'SEEN_AT', 'DATETIME', 'TIMESTAMP_NTZ', 'try_cast', FALSE),
    ('wf_movies', 3, 8, 'tags', 'TAGS', 'ARRAY', 'VARIANT', 'json', FALSE)
  WHERE NOT EXISTS (SELECT 1 FROM "KADOA_ACME_SNOWFLAKE"."DATA"."SCHEMA_VERSIONS" v WHERE v."WORKFLOW_ID" = 'wf_movies' AND v."SCHEMA_VERSION" = 3);
  INSERT INTO "KADOA_ACME_SNOWFLAKE"."DATA"."SCHEMA_VERSIONS" ("WORKFLOW_ID", "SCHEMA_VERSION", "TABLE_NAME", "FIELD_COUNT", "FINGERPRINT", "FIRST_SEEN_AT")
  SELECT 'wf_movies', 3, 'WF_MOVIES__V3', 7, 'ee4c8627708383bf8110d690c59d1933de6c9b208581e079eb1bd0eee4b5f10a', SYSDATE()
  WHERE NOT EXISTS (SELECT 1 FROM "KADOA_ACME_SNOWFLAKE"."DATA"."SCHEMA_VERSIONS" v WHERE v."WORKFLOW_ID" = 'wf_movies' AND v."SCHEMA_VERSION" = 3);
  COMMIT;
  RETURN 3;
EXCEPTION
  WHEN OTHER THEN
    ROLLBACK;
    RAISE;
END;
