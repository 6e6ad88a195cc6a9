-- What connector acme-lake delivers of workflow wf_movies: s3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/*-*/data*.parquet
-- Columns of schema version V3. Replace what begins with YOUR.
-- A run that was handed in again with another finish time has two folders; the _manifest.json of the newer
-- one names the one that it replaces.

-- 1. Load a run: COPY takes every key that begins as it is told, so that it is told of one run's
-- files of one format; _manifest.json, which lists them, begins otherwise. The cluster and the
-- bucket are in one region, and the role may list and read the bucket.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_COPY.html
CREATE TABLE IF NOT EXISTS "YOUR_SCHEMA"."movies" (
  "f_string" VARCHAR(65535),
  "f_number" DOUBLE PRECISION,
  "f_boolean" BOOLEAN,
  "f_date" DATE,
  "f_datetime" TIMESTAMP,
  "f_money" DECIMAL(38,9),
  "f_money_currency" VARCHAR(65535),
  "f_image" VARCHAR(65535),
  "f_link" VARCHAR(65535),
  "f_classification" VARCHAR(65535),
  "f_object" VARCHAR(65535),
  "f_array" VARCHAR(65535),
  "Order" DECIMAL(38,9),
  "Order_currency_6be09082" VARCHAR(65535),
  "Order_currency" VARCHAR(65535)
);

COPY "YOUR_SCHEMA"."movies"
FROM 's3://acme-bucket/kadoa/a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d/wf_movies/YOUR_TIMESTAMP-YOUR_JOB_ID/data.parquet'
IAM_ROLE 'arn:aws:iam::YOUR_ACCOUNT_ID:role/YOUR_REDSHIFT_ROLE'
FORMAT AS PARQUET;

-- 2. Or read the files where they are, with Spectrum.
-- https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_EXTERNAL_TABLE.html
-- It reads every file of a folder, and the connector puts parquet, jsonl, csv into one: give Spectrum a connector of its own, with formats: [parquet].
