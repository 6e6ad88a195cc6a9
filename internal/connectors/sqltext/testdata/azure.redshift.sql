error: Redshift does not read azblob://; it reads s3://
