CREATE EXTERNAL LISTING IF NOT EXISTS "KADOA_ACME_SNOWFLAKE" SHARE "KADOA_ACME_SNOWFLAKE" AS
$$
title: "kadoa for ACMEORG.PROD_ANALYTICS"
description: "Results of workflow runs, as secure views."
listing_terms:
  type: "OFFLINE"
targets:
  accounts: ["ACMEORG.PROD_ANALYTICS"]
auto_fulfillment:
  refresh_type: "SUB_DATABASE"
  refresh_schedule: "10 MINUTE"
$$
PUBLISH = TRUE REVIEW = TRUE COMMENT = 'waybill: connector acme-snowflake of team a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d'
