error: storage.path or storage.url holds one of * ? [ ] { } ^, which warehouses take for a pattern; use another name
