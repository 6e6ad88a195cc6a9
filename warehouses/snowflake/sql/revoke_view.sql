REVOKE SELECT ON VIEW {{.Shared .View}} FROM SHARE {{ident .Share}}
