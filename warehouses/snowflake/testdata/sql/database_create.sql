CREATE DATABASE IF NOT EXISTS "KADOA_ACME_SNOWFLAKE" COMMENT = 'waybill: connector acme-snowflake of team a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d'
