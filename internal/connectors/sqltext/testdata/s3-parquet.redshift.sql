-- What connector acme-quotes delivers of workflow Prices.of-'all': s3://acme-bucket/o'neil & $$/in/it's $$here/Prices.of-'all'/dt=*/job=*/data*.parquet
-- Columns of schema version V1. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Load a run: COPY takes every key that begins as it is told, so that it is told of one run's
-- files of one format; _manifest.json, which lists them, begins otherwise. The cluster and the
-- bucket are in one region, and the role may list and read the bucket, and kms:Decrypt
-- with the key arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
CREATE TABLE IF NOT EXISTS "YOUR_SCHEMA"."prices_of__all__cb5c35d1" (
  "Title" VARCHAR(65535),
  "dt" DATE
);

COPY "YOUR_SCHEMA"."prices_of__all__cb5c35d1"
FROM 's3://acme-bucket/o''neil & $$/in/it''s $$here/Prices.of-''all''/dt=YOUR_DATE/job=YOUR_JOB_ID/data'
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
FORMAT AS PARQUET;

-- 2. Or read the files where they are, with Spectrum.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_TABLE.html
-- It reads all files below a folder but those whose names begin with a period or an underscore, as
-- _manifest.json does.
CREATE EXTERNAL SCHEMA IF NOT EXISTS "kadoa_acme_quotes"
FROM DATA CATALOG DATABASE 'kadoa_acme_quotes'
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
CREATE EXTERNAL DATABASE IF NOT EXISTS;

CREATE EXTERNAL TABLE "kadoa_acme_quotes"."prices_of__all__cb5c35d1" (
  "Title" VARCHAR(65535),
  "dt" DATE
)
STORED AS PARQUET
LOCATION 's3://acme-bucket/o''neil & $$/in/it''s $$here/Prices.of-''all''/';
