-- What connector acme-gs delivers of workflow wf_movies: gs://acme-lake/in/wf_movies/dt=*/*/data*.csv.gz
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Read the files where they are. The suffix leaves _manifest.json and the other formats out.
-- https://cloud.google.com/bigquery/docs/external-data-cloud-storage
CREATE OR REPLACE EXTERNAL TABLE `YOUR_PROJECT`.`YOUR_DATASET`.`movies` (
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
OPTIONS (
  format = 'CSV',
  uris = ['gs://acme-lake/in/wf_movies/*.csv.gz'],
  skip_leading_rows = 1,
  allow_quoted_newlines = TRUE,
  compression = 'GZIP'
);

-- 2. Or load each new file into a table of BigQuery's own. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- https://cloud.google.com/bigquery/docs/cloud-storage-transfer
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

-- The transfer runs once a day; in the console its schedule can be as short as 15 minutes.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name='acme-gs wf_movies' \
  --data_source=google_cloud_storage \
  --params='{"allow_quoted_newlines":"true","data_path_template":"gs://acme-lake/in/wf_movies/*.csv.gz","destination_table_name_template":"movies_loaded","file_format":"CSV","skip_leading_rows":"1","write_disposition":"APPEND"}'
*/
