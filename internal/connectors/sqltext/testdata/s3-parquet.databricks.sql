-- What connector acme-quotes delivers of workflow Prices.of-'all': s3://acme-bucket/o'neil & $$/in/it's $$here/Prices.of-'all'/dt=*/job=*/data*.parquet
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. The store, with a storage credential that may list and read it, and kms:Decrypt with the key
-- arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS `kadoa_acme_quotes`
URL 's3://acme-bucket/o\'neil & $$/in/'
WITH (STORAGE CREDENTIAL `YOUR_STORAGE_CREDENTIAL`);

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW `YOUR_CATALOG`.`YOUR_SCHEMA`.`prices_of__all__cb5c35d1` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM read_files(
  's3://acme-bucket/o\'neil & $$/in/it\'s $$here/Prices.of-\'all\'/dt=*/job=*/data*.parquet',
  format => 'parquet',
  schema => '`Title` STRING, `dt` DATE'
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE `YOUR_CATALOG`.`YOUR_SCHEMA`.`prices_of__all__cb5c35d1_loaded` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM STREAM read_files(
  's3://acme-bucket/o\'neil & $$/in/it\'s $$here/Prices.of-\'all\'/dt=*/job=*/data*.parquet',
  format => 'parquet',
  schema => '`Title` STRING, `dt` DATE'
);
