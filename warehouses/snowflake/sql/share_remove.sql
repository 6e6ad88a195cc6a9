ALTER SHARE {{ident .Share}} REMOVE ACCOUNTS = {{.Account}}
