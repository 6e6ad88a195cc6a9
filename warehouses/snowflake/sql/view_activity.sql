CREATE OR REPLACE SECURE VIEW {{.Shared "ACTIVITY_LOG"}} COPY GRANTS COMMENT = {{lit .Comment}} AS
SELECT {{values "a" .ActivityColumns}}
FROM {{.Data "ACTIVITY_LOG"}} a
