SHOW GRANTS TO SHARE {{ident .Share}}
