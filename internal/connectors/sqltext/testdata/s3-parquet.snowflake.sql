-- What connector acme-quotes delivers of workflow Prices.of-'all': s3://acme-bucket/o'neil & $$/in/it's $$here/Prices.of-'all'/dt=*/job=*/data*.parquet
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_QUOTES"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'S3'
  STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_SNOWFLAKE_ROLE'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('s3://acme-bucket/o''neil & $$/in/');

-- Names the identity; give it the right to list and read the location above,
-- and kms:Decrypt with the key arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab.
DESC STORAGE INTEGRATION "KADOA_ACME_QUOTES";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1"
  URL = 's3://acme-bucket/o''neil & $$/in/it''s $$here/Prices.of-''all''/'
  STORAGE_INTEGRATION = "KADOA_ACME_QUOTES";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "PRICES_OF__ALL__CB5C35D1" (
  "Title" VARCHAR AS (VALUE:"Title"::VARCHAR),
  "dt" DATE AS (IFF(IS_INTEGER(VALUE:"dt"), DATEADD(DAY, VALUE:"dt"::INTEGER, '1970-01-01'::DATE), VALUE:"dt"::DATE)),
  "dt_" VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/', 5), '=', 2)),
  "job" VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/', 6), '=', 2))
)
  PARTITION BY ("dt_", "job")
  LOCATION = @"KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?dt=[^/]*/job=[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (TYPE = PARQUET);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "PRICES_OF__ALL__CB5C35D1" REFRESH;

-- 4. Or load each file once, as it arrives, by a pipe of your own into a table that is inferred from a first file.
-- https://docs.snowflake.com/en/user-guide/data-load-snowpipe-auto-s3
CREATE FILE FORMAT IF NOT EXISTS "KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1_PARQUET" TYPE = PARQUET USE_LOGICAL_TYPE = TRUE;
CREATE TABLE IF NOT EXISTS "PRICES_OF__ALL__CB5C35D1_LOADED" USING TEMPLATE (
  SELECT ARRAY_AGG(OBJECT_CONSTRUCT(*)) WITHIN GROUP (ORDER BY ORDER_ID)
  FROM TABLE(INFER_SCHEMA(LOCATION => '@"KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1"', FILE_FORMAT => '"KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1_PARQUET"',
    FILES => ('YOUR_RUN_FOLDER/data.parquet'))));
CREATE PIPE IF NOT EXISTS "KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1_PIPE" AUTO_INGEST = TRUE AS
COPY INTO "PRICES_OF__ALL__CB5C35D1_LOADED" FROM @"KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1"
  PATTERN = '(.*/)?dt=[^/]*/job=[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (FORMAT_NAME = "KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1_PARQUET")
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;
-- Its notification_channel is the queue that the bucket is to tell of each new object (s3:ObjectCreated:*).
SHOW PIPES LIKE 'KADOA_ACME_QUOTES_PRICES_OF__ALL__CB5C35D1_PIPE';
-- A path that was loaded is passed over for 14 days, so that a run which is handed in again with replace, and the same
-- finish time, is not loaded again; a new schema version has columns that this table has not.
