-- What connector acme-gs delivers of workflow wf_movies: gs://acme-lake/in/wf_movies/dt=*/*/data*.csv.gz
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. The store, with a storage credential that may list and read it.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS `kadoa_acme_gs`
URL 'gs://acme-lake/in/'
WITH (STORAGE CREDENTIAL `YOUR_STORAGE_CREDENTIAL`);

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM read_files(
  'gs://acme-lake/in/wf_movies/dt=*/*/data*.csv.gz',
  format => 'csv',
  header => true,
  multiLine => true,
  escape => '"',
  schema => '`f_string` STRING, `f_number` DOUBLE, `f_boolean` BOOLEAN, `f_date` DATE, `f_datetime` TIMESTAMP, `f_money` DECIMAL(38,9), `f_money_currency` STRING, `f_image` STRING, `f_link` STRING, `f_classification` STRING, `f_object` STRING, `f_array` STRING, `Order` DECIMAL(38,9), `Order_currency_6be09082` STRING, `Order_currency` STRING'
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies_loaded` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM STREAM read_files(
  'gs://acme-lake/in/wf_movies/dt=*/*/data*.csv.gz',
  format => 'csv',
  header => true,
  multiLine => true,
  escape => '"',
  schema => '`f_string` STRING, `f_number` DOUBLE, `f_boolean` BOOLEAN, `f_date` DATE, `f_datetime` TIMESTAMP, `f_money` DECIMAL(38,9), `f_money_currency` STRING, `f_image` STRING, `f_link` STRING, `f_classification` STRING, `f_object` STRING, `f_array` STRING, `Order` DECIMAL(38,9), `Order_currency_6be09082` STRING, `Order_currency` STRING'
);
