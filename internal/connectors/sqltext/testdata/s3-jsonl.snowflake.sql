-- What connector acme-jsonl delivers of workflow wf_movies: s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.jsonl.zst
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_JSONL"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_SNOWFLAKE_ROLE'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('s3://acme-bucket/');

-- Names the identity; give it the right to list and read the location above.
DESC STORAGE INTEGRATION "KADOA_ACME_JSONL";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_JSONL_MOVIES"
  URL = 's3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/'
  STORAGE_INTEGRATION = "KADOA_ACME_JSONL";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "MOVIES" (
  "f_string" VARIANT AS (VALUE:"f_string"),
  "f_number" VARIANT AS (VALUE:"f_number"),
  "f_boolean" VARIANT AS (VALUE:"f_boolean"),
  "f_date" VARIANT AS (VALUE:"f_date"),
  "f_datetime" VARIANT AS (VALUE:"f_datetime"),
  "f_money" VARIANT AS (VALUE:"f_money"),
  "f_money_currency" VARIANT AS (VALUE:"f_money_currency"),
  "f_image" VARIANT AS (VALUE:"f_image"),
  "f_link" VARIANT AS (VALUE:"f_link"),
  "f_classification" VARIANT AS (VALUE:"f_classification"),
  "f_object" VARIANT AS (VALUE:"f_object"),
  "f_array" VARIANT AS (VALUE:"f_array"),
  "Order" VARIANT AS (VALUE:"Order"),
  "Order_currency_6be09082" VARIANT AS (VALUE:"Order_currency_6be09082"),
  "Order_currency" VARIANT AS (VALUE:"Order_currency"),
  "KADOA_RUN_FOLDER" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 4))
)
  PARTITION BY ("KADOA_RUN_FOLDER")
  LOCATION = @"KADOA_ACME_JSONL_MOVIES"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?[^/]*-[^/]*/data[^/]*[.]jsonl[.]zst'
  FILE_FORMAT = (TYPE = JSON COMPRESSION = ZSTD);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "MOVIES" REFRESH;
