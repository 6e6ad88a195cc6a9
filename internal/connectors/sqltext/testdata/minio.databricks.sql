error: Databricks reads the vendor's own store, and storage.endpoint names another one
