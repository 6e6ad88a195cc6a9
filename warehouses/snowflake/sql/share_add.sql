ALTER SHARE {{ident .Share}} ADD ACCOUNTS = {{.Account}}{{if .Unrestricted}} SHARE_RESTRICTIONS = FALSE{{end}}
