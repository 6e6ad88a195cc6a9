-- What connector acme-split delivers of workflow wf_movies: s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. The store, with a storage credential that may list and read it.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS `kadoa_acme_split`
URL 's3://acme-bucket/'
WITH (STORAGE CREDENTIAL `YOUR_STORAGE_CREDENTIAL`);

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM read_files(
  's3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet',
  format => 'parquet',
  schema => '`Title` STRING'
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies_loaded` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM STREAM read_files(
  's3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet',
  format => 'parquet',
  schema => '`Title` STRING'
);
