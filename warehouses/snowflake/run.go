package snowflake

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
)

// Lane is one workflow at one connector, and the fencing token of who may
// change it: what an older token asks for is refused by the database itself.
type Lane struct {
	WorkflowID string
	Fence      int64
}

// Run is a run on its way to a connector.
type Run struct {
	Lane
	DeliveryID    string
	Generation    int
	JobID         string
	SchemaVersion int
	Schema        waybill.Schema
	FinishedAt    time.Time
	Revision      string
	Conversion    waybill.Conversion // of the staged Parquet: rows, and non-null counts by field
}

// loadID names the rows of one generation of a delivery.
func (r Run) loadID() string { return fmt.Sprintf("%s:%d", r.DeliveryID, r.Generation) }

// table is the name of the run's provider table, and of the view on it.
func (r Run) table() string { return waybill.VersionTable(r.WorkflowID, r.SchemaVersion) }

// staging names the attempt's own table: no two attempts share one.
func (r Run) staging() string {
	return fmt.Sprintf("STG_%s_%d", strings.ToUpper(r.DeliveryID), r.Fence)
}

// fenceTable is the lane's own: one table for all would make every lane of a
// connector wait for one lock.
func (l Lane) fenceTable() string { return "FENCE_" + waybill.WorkflowTable(l.WorkflowID) }

func (l Lane) args() args {
	return args{"Workflow": l.WorkflowID, "Fence": l.Fence, "FenceTable": l.fenceTable(), "View": waybill.LatestTable(l.WorkflowID)}
}

func (l Lane) with(more args) args {
	a := l.args()
	maps.Copy(a, more)
	return a
}

// args are what the statements on a run ask for.
func (r Run) args(brand string) args {
	return r.with(args{
		"Version": r.SchemaVersion, "Table": r.table(), "Stg": r.staging(), "LoadID": r.loadID(), "Job": r.JobID,
		"Generation": r.Generation, "Revision": r.Revision, "FinishedAt": r.FinishedAt,
		"Rows": r.Conversion.Rows, "Quarantined": r.Conversion.Quarantined, "CastFailures": r.Conversion.CastFailures(),
		"Columns": fieldColumns(r.Schema, brand), "JobColumn": waybill.JobColumn(brand).Name, "FinishedColumn": waybill.FinishedColumn(brand).Name,
	})
}

// fieldColumns are the columns that the staged files have: those of the
// fields, without the two that each row gets when it is loaded.
func fieldColumns(s waybill.Schema, brand string) (columns []column) {
	for _, c := range s.Columns(brand) {
		if c.Field != "" {
			columns = append(columns, columnOf(c))
		}
	}
	return columns
}
