SHOW VIEWS IN SCHEMA {{ident .Database}}.{{ident .Schema}} STARTS WITH {{lit .View}}
