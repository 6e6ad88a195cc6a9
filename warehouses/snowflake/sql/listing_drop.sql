DROP LISTING IF EXISTS {{ident .Share}}
