-- What connector acme-gs delivers of workflow wf_movies: gs://acme-lake/in/wf_movies/dt=*/*/data*.csv.gz
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_GS"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'GCS'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('gcs://acme-lake/in/');

-- Names the identity; give it the right to list and read the location above.
DESC STORAGE INTEGRATION "KADOA_ACME_GS";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_GS_MOVIES"
  URL = 'gcs://acme-lake/in/wf_movies/'
  STORAGE_INTEGRATION = "KADOA_ACME_GS";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "MOVIES" (
  "f_string" VARCHAR AS (VALUE:c1::VARCHAR),
  "f_number" FLOAT AS (VALUE:c2::FLOAT),
  "f_boolean" BOOLEAN AS (VALUE:c3::BOOLEAN),
  "f_date" DATE AS (VALUE:c4::DATE),
  "f_datetime" TIMESTAMP_NTZ AS (VALUE:c5::TIMESTAMP_NTZ),
  "f_money" NUMBER(38,9) AS (VALUE:c6::NUMBER(38,9)),
  "f_money_currency" VARCHAR AS (VALUE:c7::VARCHAR),
  "f_image" VARCHAR AS (VALUE:c8::VARCHAR),
  "f_link" VARCHAR AS (VALUE:c9::VARCHAR),
  "f_classification" VARCHAR AS (VALUE:c10::VARCHAR),
  "f_object" VARCHAR AS (VALUE:c11::VARCHAR),
  "f_array" VARCHAR AS (VALUE:c12::VARCHAR),
  "Order" NUMBER(38,9) AS (VALUE:c13::NUMBER(38,9)),
  "Order_currency_6be09082" VARCHAR AS (VALUE:c14::VARCHAR),
  "Order_currency" VARCHAR AS (VALUE:c15::VARCHAR),
  "dt" VARCHAR AS (SPLIT_PART(SPLIT_PART(METADATA$FILENAME, '/', 3), '=', 2)),
  "KADOA_RUN_ID" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 4))
)
  PARTITION BY ("dt", "KADOA_RUN_ID")
  LOCATION = @"KADOA_ACME_GS_MOVIES"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?dt=[^/]*/[^/]*/data[^/]*[.]csv[.]gz'
  FILE_FORMAT = (TYPE = CSV SKIP_HEADER = 1 FIELD_OPTIONALLY_ENCLOSED_BY = '"' EMPTY_FIELD_AS_NULL = TRUE NULL_IF = () COMPRESSION = GZIP);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "MOVIES" REFRESH;
