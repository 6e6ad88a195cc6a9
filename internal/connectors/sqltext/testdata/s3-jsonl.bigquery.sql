error: BigQuery reads gzip and not zstd; deliver parquet, or set storage.compression to gzip
