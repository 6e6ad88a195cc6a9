SHOW GRANTS TO ROLE {{ident .Role}}
