-- What connector acme-azure delivers of workflow wf_movies: azblob://exports/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.jsonl.gz
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. The store, with a storage credential that may list and read it.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-location.html
CREATE EXTERNAL LOCATION IF NOT EXISTS `kadoa_acme_azure`
URL 'abfss://exports@acmelake.dfs.core.windows.net/'
WITH (STORAGE CREDENTIAL `YOUR_STORAGE_CREDENTIAL`);

-- 2. Read the files where they are. The pattern leaves _manifest.json and the other formats out.
-- https://docs.databricks.com/en/sql/language-manual/functions/read_files.html
CREATE OR REPLACE VIEW `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM read_files(
  'abfss://exports@acmelake.dfs.core.windows.net/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.jsonl.gz',
  format => 'json',
  schema => '`f_string` STRING, `f_number` STRING, `f_boolean` STRING, `f_date` STRING, `f_datetime` STRING, `f_money` STRING, `f_money_currency` STRING, `f_image` STRING, `f_link` STRING, `f_classification` STRING, `f_object` STRING, `f_array` STRING, `Order` STRING, `Order_currency_6be09082` STRING, `Order_currency` STRING'
);

-- 3. Or load each new file once.
-- https://docs.databricks.com/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table.html
CREATE OR REFRESH STREAMING TABLE `YOUR_CATALOG`.`YOUR_SCHEMA`.`movies_loaded` AS
SELECT *, _metadata.file_path AS `kadoa_file_path`
FROM STREAM read_files(
  'abfss://exports@acmelake.dfs.core.windows.net/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.jsonl.gz',
  format => 'json',
  schema => '`f_string` STRING, `f_number` STRING, `f_boolean` STRING, `f_date` STRING, `f_datetime` STRING, `f_money` STRING, `f_money_currency` STRING, `f_image` STRING, `f_link` STRING, `f_classification` STRING, `f_object` STRING, `f_array` STRING, `Order` STRING, `Order_currency_6be09082` STRING, `Order_currency` STRING'
);
