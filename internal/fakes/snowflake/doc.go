// Package snowflake is a Snowflake for tests and the sandbox: an HTTP server
// that the vendor's own Go driver logs in to and sends its statements to.
//
// It plays a provider's account and its customers' accounts, with regions,
// clouds and editions; data statements run on DuckDB, and everything else
// (transactions, locks, stages, the COPY command and its load history, secure
// views, grants, shares, listings, scripting blocks) is modelled here. It
// refuses what the real service refuses, with the real numbers and SQL states,
// and every statement, option and function outside what is modelled is a
// compilation error: who sends a new statement teaches it here first.
//
// What is modelled follows the vendor's pages:
//
//   - transactions and locks: https://docs.snowflake.com/en/sql-reference/transactions
//   - COPY INTO: https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
//   - load history: https://docs.snowflake.com/en/user-guide/data-load-considerations-load
//   - shares: https://docs.snowflake.com/en/user-guide/data-sharing-provider
//   - listings: https://docs.snowflake.com/en/sql-reference/sql/create-listing
//   - scripting: https://docs.snowflake.com/en/developer-guide/snowflake-scripting/index
//   - privileges: https://docs.snowflake.com/en/user-guide/security-access-control-privileges
//   - identifiers: https://docs.snowflake.com/en/sql-reference/identifiers-syntax
//
// The wire protocol has no page; it follows what the driver
// (github.com/snowflakedb/gosnowflake) sends and reads.
package snowflake
