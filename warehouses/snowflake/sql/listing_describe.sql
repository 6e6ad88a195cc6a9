DESCRIBE LISTING {{ident .Share}}
