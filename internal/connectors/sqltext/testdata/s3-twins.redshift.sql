-- What connector acme-twins delivers of workflow wf_prices: s3://acme-bucket/*/wf_prices/*/data*.parquet
-- Columns of schema version V2. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.
-- Price, price differ in case only; where names are not told apart by case, one of them is lost.

-- 1. Load a run: COPY takes every key that begins as it is told, so that it is told of one run's
-- files of one format; _manifest.json, which lists them, begins otherwise. The cluster and the
-- bucket are in one region, and the role may list and read the bucket.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
CREATE TABLE IF NOT EXISTS "YOUR_SCHEMA"."prices" (
  "Price_93c91c85" DOUBLE PRECISION,
  "price_683b531f" DECIMAL(38,9),
  "price_currency" VARCHAR(65535)
);

COPY "YOUR_SCHEMA"."prices"
FROM 's3://acme-bucket/YOUR_DATE/wf_prices/YOUR_JOB_ID/data'
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
FORMAT AS PARQUET;

-- 2. Or read the files where they are, with Spectrum.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_TABLE.html
-- It reads every file of a folder, and the path puts {workflowId} behind what differs from run to run: put {workflowId} first.
