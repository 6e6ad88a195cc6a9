package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/warehouses/snowflake"
)

// setupText says in a line how a connector of kind snowflake was set up.
func setupText(s snowflake.Setup) string {
	if s.Share == "" {
		return "not set up yet: run waybill connector apply again"
	}
	return fmt.Sprintf("share %s of %s goes to %s (%s)", s.Share, s.Provider, s.Account, s.Route)
}

// snowflakeText is the customer's side of a connector of kind snowflake.
func snowflakeText(w io.Writer, c connectors.Connector, s snowflake.Setup, brand string) error {
	if s.Share == "" {
		return fmt.Errorf("connector %s was not set up yet: run waybill connector apply again", c.ID)
	}
	text := directText
	if s.Route == snowflake.RouteListing {
		text = listingText
	}
	_, err := strings.NewReplacer("{account}", s.Account, "{provider}", s.Provider, "{share}", s.Share, "{schema}", s.Schema,
		"{database}", strings.ToUpper(brand)).WriteString(w, text+importedText)
	return err
}

const directText = `-- In the customer's Snowflake account {account}, by a role that may IMPORT SHARE and CREATE DATABASE.
-- https://docs.snowflake.com/en/user-guide/data-share-consumers
CREATE DATABASE "{database}" FROM SHARE {provider}."{share}";
`

const listingText = `-- In the customer's Snowflake account {account}, by a role that may IMPORT SHARE and CREATE DATABASE.
-- The first import waits until Snowflake has brought the data to the account's region.
-- https://docs.snowflake.com/en/collaboration/consumer-listings-access
SHOW AVAILABLE LISTINGS IS_SHARED_WITH_ME = TRUE; -- take the global_name of the one of {provider} that has {share}
CREATE DATABASE "{database}" FROM LISTING 'YOUR_GLOBAL_NAME';
`

const importedText = `GRANT IMPORTED PRIVILEGES ON DATABASE "{database}" TO ROLE "YOUR_ROLE";

SHOW VIEWS IN SCHEMA "{database}"."{schema}";
SELECT * FROM "{database}"."{schema}".WORKFLOW_RUNS ORDER BY RUN_FINISHED_AT DESC; -- a row means: the run is complete
`
