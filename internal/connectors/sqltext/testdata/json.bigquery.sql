error: the connector delivers json only, one document that warehouses do not read as rows; add parquet to storage.formats
