-- What connector acme-gs delivers of workflow wf_movies: gs://acme-lake/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- No run of the workflow is known yet, so no columns are named. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Snowflake's own identity, which the store's owner lets read.
-- https://docs.snowflake.com/en/sql-reference/sql/create-storage-integration
CREATE STORAGE INTEGRATION IF NOT EXISTS "KADOA_ACME_GS"
  TYPE = EXTERNAL_STAGE
  STORAGE_PROVIDER = 'GCS'
  ENABLED = TRUE
  STORAGE_ALLOWED_LOCATIONS = ('gcs://acme-lake/');

-- Names the identity; give it the right to list and read the location above.
DESC STORAGE INTEGRATION "KADOA_ACME_GS";

-- 2. The workflow's folder.
-- https://docs.snowflake.com/en/sql-reference/sql/create-stage
CREATE STAGE IF NOT EXISTS "KADOA_ACME_GS_MOVIES"
  URL = 'gcs://acme-lake/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/'
  STORAGE_INTEGRATION = "KADOA_ACME_GS";

-- 3. The table. The pattern leaves _manifest.json and the other formats out.
-- https://docs.snowflake.com/en/sql-reference/sql/create-external-table
CREATE OR REPLACE EXTERNAL TABLE "MOVIES" (
  "KADOA_RUN_FOLDER" VARCHAR AS (SPLIT_PART(METADATA$FILENAME, '/', 4))
)
  PARTITION BY ("KADOA_RUN_FOLDER")
  LOCATION = @"KADOA_ACME_GS_MOVIES"
  REFRESH_ON_CREATE = TRUE
  AUTO_REFRESH = FALSE
  PATTERN = '(.*/)?[^/]*-[^/]*/data[^/]*[.]parquet'
  FILE_FORMAT = (TYPE = PARQUET);

-- Shows the files that came since. By itself, with events of the store:
-- https://docs.snowflake.com/en/user-guide/tables-external-auto
ALTER EXTERNAL TABLE "MOVIES" REFRESH;
