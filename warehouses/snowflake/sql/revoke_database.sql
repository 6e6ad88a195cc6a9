REVOKE USAGE ON DATABASE {{ident .Database}} FROM SHARE {{ident .Share}}
