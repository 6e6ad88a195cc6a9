CREATE SCHEMA IF NOT EXISTS {{ident .Database}}.{{ident .Schema}} COMMENT = {{lit .Mark}}
