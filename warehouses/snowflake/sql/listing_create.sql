CREATE EXTERNAL LISTING IF NOT EXISTS {{ident .Share}} SHARE {{ident .Share}} AS
$$
title: {{yaml .Title}}
description: {{yaml .Description}}
listing_terms:
  type: "OFFLINE"
targets:
  accounts: [{{yaml .Account}}]
auto_fulfillment:
  refresh_type: "SUB_DATABASE"
  refresh_schedule: "10 MINUTE"
$$
PUBLISH = TRUE REVIEW = TRUE COMMENT = {{lit .Mark}}
