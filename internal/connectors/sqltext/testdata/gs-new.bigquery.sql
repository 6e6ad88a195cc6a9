-- What connector acme-gs delivers of workflow wf_movies: gs://acme-lake/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- No run of the workflow is known yet, so no columns are named. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Read the files where they are. The suffix leaves _manifest.json and the other formats out.
-- https://cloud.google.com/bigquery/docs/external-data-cloud-storage
CREATE OR REPLACE EXTERNAL TABLE `YOUR_PROJECT`.`YOUR_DATASET`.`movies`
OPTIONS (
  format = 'PARQUET',
  uris = ['gs://acme-lake/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*.parquet']
);

-- 2. Or load each new file into a table of BigQuery's own. A file that is
-- replaced is loaded again, beside the rows of the old one.
-- https://cloud.google.com/bigquery/docs/cloud-storage-transfer
CREATE TABLE IF NOT EXISTS `YOUR_PROJECT`.`YOUR_DATASET`.`movies_loaded`
AS SELECT * FROM `YOUR_PROJECT`.`YOUR_DATASET`.`movies` WHERE FALSE;

-- The transfer runs once a day; in the console its schedule can be as short as 15 minutes.
/* In a shell:
bq mk --transfer_config \
  --project_id=YOUR_PROJECT \
  --target_dataset=YOUR_DATASET \
  --display_name='acme-gs wf_movies' \
  --data_source=google_cloud_storage \
  --params='{"data_path_template":"gs://acme-lake/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*.parquet","destination_table_name_template":"movies_loaded","file_format":"PARQUET","write_disposition":"APPEND"}'
*/
