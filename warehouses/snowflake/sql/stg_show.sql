SHOW TABLES IN SCHEMA {{ident .Database}}.{{ident .Schema}} STARTS WITH 'STG_'
