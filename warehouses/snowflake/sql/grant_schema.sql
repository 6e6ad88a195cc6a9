GRANT USAGE ON SCHEMA {{ident .Database}}.{{ident .Schema}} TO SHARE {{ident .Share}}
