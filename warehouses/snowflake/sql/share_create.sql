CREATE SHARE IF NOT EXISTS {{ident .Share}} COMMENT = {{lit .Mark}}
