-- What connector acme-twins delivers of workflow wf_prices: s3://acme-bucket/*/wf_prices/*/data*.parquet
-- Columns of schema version V2. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.
-- Price, price differ in case only; where names are not told apart by case, one of them is lost.
-- The path holds other variables before {workflowId}, and BigQuery knows one * only: the files
-- of all workflows of the connector are read. Put {workflowId} first, or give each workflow a connector.

-- 1. Read the files where they are. The dataset is in BigQuery Omni's region of the store,
-- and a connection of it may read the store. The suffix leaves _manifest.json and the other formats out.
-- https://cloud.google.com/bigquery/docs/omni-aws-create-external-table
CREATE OR REPLACE EXTERNAL TABLE `YOUR_PROJECT`.`YOUR_OMNI_DATASET`.`prices` (
  `Price` FLOAT64,
  `price` NUMERIC,
  `price_currency` STRING
)
WITH CONNECTION `aws-eu-central-1.YOUR_CONNECTION`
OPTIONS (
  format = 'PARQUET',
  uris = ['s3://acme-bucket/*.parquet']
);

-- 2. Or load each new file into a table of BigQuery's own, in a dataset outside Omni's regions. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- https://cloud.google.com/bigquery/docs/s3-transfer
CREATE TABLE IF NOT EXISTS `YOUR_PROJECT`.`YOUR_DATASET`.`prices_loaded` (
  `Price` FLOAT64,
  `price` NUMERIC,
  `price_currency` STRING
);

-- The transfer runs once a day; in the console its schedule can be as short as an hour.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name='acme-twins wf_prices' \
  --data_source=amazon_s3 \
  --params='{"access_key_id":"YOUR_ACCESS_KEY_ID","data_path":"s3://acme-bucket/*.parquet","destination_table_name_template":"prices_loaded","file_format":"PARQUET","secret_access_key":"YOUR_SECRET_ACCESS_KEY","write_disposition":"WRITE_APPEND"}'
*/
