-- What connector acme-lake delivers of workflow wf_movies: s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- Columns of schema version V3. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Read the files where they are. The dataset is in BigQuery Omni's region of the store,
-- and a connection of it may read the store. The suffix leaves _manifest.json and the other formats out.
-- https://cloud.google.com/bigquery/docs/omni-aws-create-external-table
CREATE OR REPLACE EXTERNAL TABLE `YOUR_PROJECT`.`YOUR_OMNI_DATASET`.`movies` (
  `f_string` STRING,
  `f_number` FLOAT64,
  `f_boolean` BOOL,
  `f_date` DATE,
  `f_datetime` TIMESTAMP,
  `f_money` NUMERIC,
  `f_money_currency` STRING,
  `f_image` STRING,
  `f_link` STRING,
  `f_classification` STRING,
  `f_object` STRING,
  `f_array` STRING,
  `Order` NUMERIC,
  `Order_currency_6be09082` STRING,
  `Order_currency` STRING
)
WITH CONNECTION `aws-eu-central-1.YOUR_CONNECTION`
OPTIONS (
  format = 'PARQUET',
  uris = ['s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*.parquet']
);

-- 2. Or load each new file into a table of BigQuery's own, in a dataset outside Omni's regions. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- https://cloud.google.com/bigquery/docs/s3-transfer
CREATE TABLE IF NOT EXISTS `YOUR_PROJECT`.`YOUR_DATASET`.`movies_loaded` (
  `f_string` STRING,
  `f_number` FLOAT64,
  `f_boolean` BOOL,
  `f_date` DATE,
  `f_datetime` TIMESTAMP,
  `f_money` NUMERIC,
  `f_money_currency` STRING,
  `f_image` STRING,
  `f_link` STRING,
  `f_classification` STRING,
  `f_object` STRING,
  `f_array` STRING,
  `Order` NUMERIC,
  `Order_currency_6be09082` STRING,
  `Order_currency` STRING
);

-- The transfer runs once a day; in the console its schedule can be as short as an hour.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name='acme-lake wf_movies' \
  --data_source=amazon_s3 \
  --params='{"access_key_id":"YOUR_ACCESS_KEY_ID","data_path":"s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*.parquet","destination_table_name_template":"movies_loaded","file_format":"PARQUET","secret_access_key":"YOUR_SECRET_ACCESS_KEY","write_disposition":"WRITE_APPEND"}'
*/
