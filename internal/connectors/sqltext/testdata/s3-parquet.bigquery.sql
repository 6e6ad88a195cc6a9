-- What connector acme-quotes delivers of workflow Prices.of-'all': s3://acme-bucket/o'neil & $$/in/it's $$here/Prices.of-'all'/dt=*/job=*/data*.parquet
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Read the files where they are. The dataset is in BigQuery Omni's region of the store,
-- and a connection of it may read the store. The suffix leaves _manifest.json and the other formats out.
-- https://cloud.google.com/bigquery/docs/omni-aws-create-external-table
CREATE OR REPLACE EXTERNAL TABLE `YOUR_PROJECT`.`YOUR_OMNI_DATASET`.`prices_of__all__cb5c35d1` (
  `Title` STRING,
  `dt` DATE
)
WITH CONNECTION `aws-eu-central-1.YOUR_CONNECTION`
OPTIONS (
  format = 'PARQUET',
  uris = ['s3://acme-bucket/o\'neil & $$/in/it\'s $$here/Prices.of-\'all\'/*.parquet']
);

-- 2. Or load each new file into a table of BigQuery's own, in a dataset outside Omni's regions. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- https://cloud.google.com/bigquery/docs/s3-transfer
CREATE TABLE IF NOT EXISTS `YOUR_PROJECT`.`YOUR_DATASET`.`prices_of__all__cb5c35d1_loaded` (
  `Title` STRING,
  `dt` DATE
);

-- The transfer runs once a day; in the console its schedule can be as short as an hour.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name='acme-quotes Prices.of-'\''all'\''' \
  --data_source=amazon_s3 \
  --params='{"access_key_id":"YOUR_ACCESS_KEY_ID","data_path":"s3://acme-bucket/o'\''neil & $$/in/it'\''s $$here/Prices.of-'\''all'\''/*.parquet","destination_table_name_template":"prices_of__all__cb5c35d1_loaded","file_format":"PARQUET","secret_access_key":"YOUR_SECRET_ACCESS_KEY","write_disposition":"WRITE_APPEND"}'
*/
