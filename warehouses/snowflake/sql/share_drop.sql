DROP SHARE IF EXISTS {{ident .Share}}
