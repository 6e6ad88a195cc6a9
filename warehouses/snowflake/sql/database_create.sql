CREATE DATABASE IF NOT EXISTS {{ident .Database}} COMMENT = {{lit .Mark}}
