package delta

import (
	"errors"
	"fmt"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// What a table's failures match with errors.Is. Failures of the store come
// through as they are.
var (
	// ErrNoTable means: there is no table at the place.
	ErrNoTable = errors.New("no table")
	// ErrNoVersion means: the log does not reach back to the version, or not so far forward.
	ErrNoVersion = errors.New("no such version")
	// ErrSuperseded means: a newer attempt has written to the table; this one must stop.
	ErrSuperseded = errors.New("superseded by a newer attempt")
	// ErrMissingFile means: a data file is not where the table's log, or the caller, says.
	ErrMissingFile = errors.New("data file is missing")
	// ErrSchema means: the table's columns are not those of the rows.
	ErrSchema = errors.New("columns differ")

	errCorrupt     = errors.New("log cannot be read")
	errUnsupported = errors.New("table has a feature that is not known")
	errContended   = errors.New("too many other writers")
	errRows        = errors.New("rows do not fit their table")
)

// fault is a row of the table below: what a failure of a table means.
type fault struct {
	verdict waybill.Verdict
	code    string
	action  string // %s becomes the table's URL
}

var faults = map[error]fault{
	ErrNoTable: {waybill.Permanent, "delta.no_table",
		"There is no table at %s; publish a run of the workflow, which makes it."},
	ErrNoVersion: {waybill.Permanent, "delta.no_version",
		"The log of %s does not hold that version; ask for a newer one."},
	ErrSuperseded: {waybill.Transient, "delta.superseded",
		"A newer attempt has written to %s meanwhile; nothing is to be done."},
	ErrMissingFile: {waybill.Permanent, "delta.missing_file",
		"A data file of %s is gone; replay the delivery from its start, and see who deletes files there."},
	ErrSchema: {waybill.Permanent, "delta.schema_differs",
		"The columns of %s are not those of this schema version; find out who changed the table."},
	errCorrupt: {waybill.Permanent, "delta.corrupt_log",
		"The log of %s cannot be read; restore the objects below _delta_log from the bucket's versions."},
	errUnsupported: {waybill.Blocked, "delta.unsupported_table",
		"Another program gave %s a table feature that Waybill does not write; take the feature away, or purge the table and publish again."},
	errContended: {waybill.Transient, "delta.contended",
		"Other writers were faster at every attempt to write to %s; the step is repeated by itself."},
	errRows: {waybill.Permanent, "delta.bad_rows",
		"Waybill formed rows that do not fit %s; this is a fault of Waybill."},
}

// fail returns a failure of the table that means one of the errors above.
func (t *Table) fail(means error, format string, args ...any) error {
	f := faults[means]
	return &waybill.Failure{Verdict: f.verdict, Code: f.code, Action: fmt.Sprintf(f.action, t.URL()),
		Err: fmt.Errorf("%s: %w: %w", t.prefix, means, fmt.Errorf(format, args...))}
}

// missing turns "no such object" into a failure of the table.
func (t *Table) missing(err error, means error, what string) error {
	if errors.Is(err, storage.ErrNotExist) {
		return t.fail(means, "%s: %w", what, err)
	}
	return err
}
