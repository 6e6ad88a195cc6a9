DROP TABLE IF EXISTS {{.Staging .Stg}}
