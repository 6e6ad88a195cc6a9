-- What connector acme-twins delivers of workflow wf_prices: s3://acme-bucket/*/wf_prices/*/data*.parquet
-- Columns of schema version V2. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.
-- Price, price differ in case only; where names are not told apart by case, one of them is lost.

-- 1. The store, with a storage credential that may list and read it.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS `kadoa_acme_twins`
URL 's3://acme-bucket/'
WITH (STORAGE CREDENTIAL `YOUR_STORAGE_CREDENTIAL`);

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW `YOUR_CATALOG`.`YOUR_SCHEMA`.`prices` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM read_files(
  's3://acme-bucket/*/wf_prices/*/data*.parquet',
  format => 'parquet',
  schema => '`Price` DOUBLE, `price` DECIMAL(38,9), `price_currency` STRING'
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE `YOUR_CATALOG`.`YOUR_SCHEMA`.`prices_loaded` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM STREAM read_files(
  's3://acme-bucket/*/wf_prices/*/data*.parquet',
  format => 'parquet',
  schema => '`Price` DOUBLE, `price` DECIMAL(38,9), `price_currency` STRING'
);
