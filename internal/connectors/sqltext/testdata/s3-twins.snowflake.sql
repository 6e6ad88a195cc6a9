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
