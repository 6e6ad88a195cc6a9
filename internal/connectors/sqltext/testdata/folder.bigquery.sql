error: there is no warehouse that reads this connector's store; SQL is written for s3://, gs:// and azblob://
