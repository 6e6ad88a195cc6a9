-- What connector acme-twins delivers of workflow wf_prices: s3://acme-bucket/*/wf_prices/*/data*.parquet
-- Columns of schema version V2. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.
-- Price, price differ in case only; where names are not told apart by case, one of them is lost.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_TWINS"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_SNOWFLAKE_ROLE'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('s3://acme-bucket/');

-- Names the identity; give it the right to list and read the location above.
DESC STORAGE INTEGRATION "KADOA_ACME_TWINS";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_TWINS_PRICES"
  URL = 's3://acme-bucket/'
  STORAGE_INTEGRATION = "KADOA_ACME_TWINS";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "PRICES" (
  "Price" FLOAT AS (VALUE:"Price"::FLOAT),
  "price" NUMBER(38,9) AS (VALUE:"price"::NUMBER(38,9)),
  "price_currency" VARCHAR AS (VALUE:"price_currency"::VARCHAR),
  "KADOA_DATE" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 1)),
  "KADOA_JOB_ID" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 3))
)
  PARTITION BY ("KADOA_DATE", "KADOA_JOB_ID")
  LOCATION = @"KADOA_ACME_TWINS_PRICES"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?[^/]*/wf_prices/[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (TYPE = PARQUET);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "PRICES" REFRESH;

-- 4. Or load each file once, as it arrives, by a pipe of your own into a table that is inferred from a first file.
-- https://docs.snowflake.com/en/user-guide/data-load-snowpipe-auto-s3
CREATE FILE FORMAT IF NOT EXISTS "KADOA_ACME_TWINS_PRICES_PARQUET" TYPE = PARQUET USE_LOGICAL_TYPE = TRUE;
CREATE TABLE IF NOT EXISTS "PRICES_LOADED" USING TEMPLATE (
  SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) WITHIN GROUP (ORDER BY ORDER_ID)
  FROM TABLE(INFER_SCHEMA(LOCATION => '@"KADOA_ACME_TWINS_PRICES"', FILE_FORMAT => '"KADOA_ACME_TWINS_PRICES_PARQUET"',
    FILES => ('YOUR_RUN_FOLDER/data.parquet'))));
CREATE PIPE IF NOT EXISTS "KADOA_ACME_TWINS_PRICES_PIPE" AUTO_INGEST = TRUE AS
COPY INTO "PRICES_LOADED" FROM @"KADOA_ACME_TWINS_PRICES"
  PATTERN = '(.*/)?[^/]*/wf_prices/[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (FORMAT_NAME = "KADOA_ACME_TWINS_PRICES_PARQUET")
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;
-- Its notification_channel is the queue that the bucket is to tell of each new object (s3:ObjectCreated:*).
SHOW PIPES LIKE 'KADOA_ACME_TWINS_PRICES_PIPE';
-- A path that was loaded is passed over for 14 days, so that a run which is handed in again with replace, and the same
-- finish time, is not loaded again; a new schema version has columns that this table has not.
