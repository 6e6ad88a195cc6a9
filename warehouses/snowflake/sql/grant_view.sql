GRANT SELECT ON VIEW {{.Shared .View}} TO SHARE {{ident .Share}}
