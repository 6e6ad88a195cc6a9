GRANT USAGE ON DATABASE {{ident .Database}} TO SHARE {{ident .Share}}
