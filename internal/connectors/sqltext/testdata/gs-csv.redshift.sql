error: Redshift does not read gs://; it reads s3://
