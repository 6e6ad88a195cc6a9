-- What connector acme-lake delivers of workflow wf_movies: s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- Columns of schema version V3. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_LAKE"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_SNOWFLAKE_ROLE'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('s3://acme-bucket/');

-- Names the identity; give it the right to list and read the location above.
DESC STORAGE INTEGRATION "KADOA_ACME_LAKE";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_LAKE_MOVIES"
  URL = 's3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/'
  STORAGE_INTEGRATION = "KADOA_ACME_LAKE";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "MOVIES" (
  "f_string" VARCHAR AS (VALUE:"f_string"::VARCHAR),
  "f_number" FLOAT AS (VALUE:"f_number"::FLOAT),
  "f_boolean" BOOLEAN AS (VALUE:"f_boolean"::BOOLEAN),
  "f_date" DATE AS (IFF(IS_INTEGER(VALUE:"f_date"), DATEADD(DAY, VALUE:"f_date"::INTEGER, '1970-01-01'::DATE), VALUE:"f_date"::DATE)),
  "f_datetime" TIMESTAMP_NTZ AS (IFF(IS_INTEGER(VALUE:"f_datetime"), TO_TIMESTAMP_NTZ(VALUE:"f_datetime"::NUMBER(38,0), 6), VALUE:"f_datetime"::TIMESTAMP_NTZ)),
  "f_money" NUMBER(38,9) AS (VALUE:"f_money"::NUMBER(38,9)),
  "f_money_currency" VARCHAR AS (VALUE:"f_money_currency"::VARCHAR),
  "f_image" VARCHAR AS (VALUE:"f_image"::VARCHAR),
  "f_link" VARCHAR AS (VALUE:"f_link"::VARCHAR),
  "f_classification" VARCHAR AS (VALUE:"f_classification"::VARCHAR),
  "f_object" VARCHAR AS (VALUE:"f_object"::VARCHAR),
  "f_array" VARCHAR AS (VALUE:"f_array"::VARCHAR),
  "Order" NUMBER(38,9) AS (VALUE:"Order"::NUMBER(38,9)),
  "Order_currency_6be09082" VARCHAR AS (VALUE:"Order_currency_6be09082"::VARCHAR),
  "Order_currency" VARCHAR AS (VALUE:"Order_currency"::VARCHAR),
  "KADOA_RUN_FOLDER" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 4))
)
  PARTITION BY ("KADOA_RUN_FOLDER")
  LOCATION = @"KADOA_ACME_LAKE_MOVIES"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?[^/]*-[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (TYPE = PARQUET);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "MOVIES" REFRESH;

-- 4. Or load each file once, as it arrives, by a pipe of your own into a table that is inferred from a first file.
-- https://docs.snowflake.com/en/user-guide/data-load-snowpipe-auto-s3
CREATE FILE FORMAT IF NOT EXISTS "KADOA_ACME_LAKE_MOVIES_PARQUET" TYPE = PARQUET USE_LOGICAL_TYPE = TRUE;
CREATE TABLE IF NOT EXISTS "MOVIES_LOADED" USING TEMPLATE (
  SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) WITHIN GROUP (ORDER BY ORDER_ID)
  FROM TABLE(INFER_SCHEMA(LOCATION => '@"KADOA_ACME_LAKE_MOVIES"', FILE_FORMAT => '"KADOA_ACME_LAKE_MOVIES_PARQUET"',
    FILES => ('YOUR_RUN_FOLDER/data.parquet'))));
CREATE PIPE IF NOT EXISTS "KADOA_ACME_LAKE_MOVIES_PIPE" AUTO_INGEST = TRUE AS
COPY INTO "MOVIES_LOADED" FROM @"KADOA_ACME_LAKE_MOVIES"
  PATTERN = '(.*/)?[^/]*-[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (FORMAT_NAME = "KADOA_ACME_LAKE_MOVIES_PARQUET")
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;
-- Its notification_channel is the queue that the bucket is to tell of each new object (s3:ObjectCreated:*).
SHOW PIPES LIKE 'KADOA_ACME_LAKE_MOVIES_PIPE';
-- A path that was loaded is passed over for 14 days, so that a run which is handed in again with replace, and the same
-- finish time, is not loaded again; a new schema version has columns that this table has not.
