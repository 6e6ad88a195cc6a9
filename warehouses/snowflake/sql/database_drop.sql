DROP DATABASE IF EXISTS {{ident .Database}}
