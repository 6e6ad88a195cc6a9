package snowflake

import (
	"fmt"

	"github.com/waybillhq/waybill"
)

func activityTable() waybill.Table {
	t := metadataTable(waybill.TableActivity)
	return t
}

// putArgs: https://docs.snowflake.com/en/sql-reference/sql/put
func (p place) putArgs(file, path string) args {
	return args{"File": "file://" + file, "To": fmt.Sprintf("@%s/%s", args{"Database": p.Database}.Staging(stageName), path)}
}

const stageName = "INGEST"

func (p place) listingArgs(account string) args {
	return args{"Account": account, "Title": p.Brand + " for " + account, "Description": "Results of workflow runs, as secure views."}
}

func latestComment(version int) string {
	return fmt.Sprintf("%s (now V%d)", waybill.LatestComment, version)
}

func (p place) pointLatest(l Lane, version int, pinned bool, columns []string) string {
	return p.statement("latest_point", l.with(args{"Version": version, "Pinned": pinned, "Columns": columns,
		"Table": waybill.VersionTable(l.WorkflowID, version), "Comment": latestComment(version)}))
}
