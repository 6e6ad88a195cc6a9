package snowflake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/waybillhq/waybill"
)

// StageURL is the folder of our ingestion bucket that the connector's stage
// shows, and "" where files are staged in Snowflake itself.
func (d *Destination) StageURL() string {
	if d.account.cfg.Stage.URL == "" {
		return ""
	}
	return strings.TrimSuffix(d.account.cfg.Stage.URL, "/") + "/" + d.Database + "/"
}

// StagePath is where an attempt stages its files, below [Destination.StageURL]:
// no two attempts share it, and those of a workflow lie below one folder.
func StagePath(r Run) string {
	return fmt.Sprintf("%s%s/g%d/f%d/", StageFolder(r.WorkflowID), r.DeliveryID, r.Generation, r.Fence)
}

// StageFolder is the folder of a workflow's staged files.
func StageFolder(workflowID string) string { return waybill.WorkflowTable(workflowID) + "/" }

// Put stages a local file in Snowflake itself, where there is no bucket of ours.
// https://docs.snowflake.com/en/sql-reference/sql/put
func (d *Destination) Put(ctx context.Context, file, path string) error {
	out, err := d.send(ctx, "stage_put", d.putArgs(file, path))
	if err != nil {
		return err
	}
	for i := range out.values {
		if status := out.at(i, "status"); status != "UPLOADED" && status != "SKIPPED" {
			return waybill.Failf(waybill.Transient, "snowflake.put", "A file could not be staged; the step is repeated by itself.", "put %s: %s %s", file, status, out.at(i, "message"))
		}
	}
	return nil
}

func (p place) putArgs(file, path string) args {
	return args{"File": "file://" + file, "To": fmt.Sprintf("@%s/%s", args{"Database": p.Database}.Staging("INGEST"), path)}
}

// Evolve makes the lane and the table and view of the run's schema version. For
// a version that is already there it changes nothing.
func (d *Destination) Evolve(ctx context.Context, r Run) error {
	known, err := d.send(ctx, "version_known", r.args(d.Brand))
	if err != nil {
		return err
	}
	if len(known.values) > 0 {
		if have := known.values[0][0].String; have != r.Schema.Fingerprint() {
			return waybill.Failf(waybill.Permanent, "snowflake.schema_version", "The schema version stands for another descriptor here; report this as a fault of Waybill's.",
				"V%d of %s has fingerprint %s, the run's is %s", r.SchemaVersion, r.WorkflowID, have, r.Schema.Fingerprint())
		}
		return nil // and so its lane is there too, which was made before it
	}
	if err := d.makeLane(ctx, r.Lane); err != nil {
		return err
	}
	for _, s := range []struct{ name, text string }{
		{"table_create", d.createVersionTable(r)}, {"version_view", d.createVersionView(r)}, {"version_record", d.recordVersion(r)},
	} {
		if _, err := d.sendText(ctx, s.name, s.text); err != nil {
			return err
		}
	}
	return nil
}

// makeLane makes the lane's fence.
func (d *Destination) makeLane(ctx context.Context, l Lane) error {
	if _, err := d.sendText(ctx, "table_create", d.createFenceTable(l)); err != nil {
		return err
	}
	_, err := d.send(ctx, "fence_make", l.args())
	return err
}

// Staged says where a run's files lie in the stage, and their names.
type Staged struct {
	Path  string // see [StagePath]
	Files []string
}

// Load brings staged files into the table of the run's schema version, where
// they are invisible until they are published. The files go into a table of
// the attempt's own, whose rows and non-null values must be those that the
// writer counted: COPY turns what it cannot read into NULL without a word.
// https://docs.snowflake.com/en/sql-reference/sql/copy-into-table
func (d *Destination) Load(ctx context.Context, r Run, s Staged) error {
	a := r.args(d.Brand)
	if _, err := d.send(ctx, "stg_create", a); err != nil {
		return err
	}
	if r.Conversion.Rows > 0 {
		if err := d.copy(ctx, r, s); err != nil {
			return err
		}
	}
	loaded, err := d.block(ctx, "load", a)
	if err == nil && loaded != r.Conversion.Rows {
		err = miscounted("the table took %d rows, want %d", loaded, r.Conversion.Rows)
	}
	return err
}

// copyFiles is how many files one COPY names at most.
// https://docs.snowflake.com/en/sql-reference/sql/copy-into-table#optional-parameters
const copyFiles = 1000

func (d *Destination) copy(ctx context.Context, r Run, s Staged) error {
	var all rows
	a := r.args(d.Brand)
	for files := range slices.Chunk(s.Files, copyFiles) {
		a["Path"], a["Files"] = s.Path, files
		out, err := d.send(ctx, "stg_copy", a)
		if err != nil {
			return err
		}
		all = rows{out.columns, append(all.values, out.values...)}
		if len(out.columns) < 2 {
			break
		}
	}
	if err := checkCopy(all, len(s.Files), r.Conversion.Rows); err != nil {
		return err
	}
	counts, err := d.send(ctx, "stg_count", a)
	if err != nil {
		return err
	}
	return checkCounts(counts, r, d.Brand)
}

// checkCopy reads what COPY answers: a row for each file, or one column that
// says that there was nothing to load.
func checkCopy(out rows, files int, want int64) error {
	if len(out.columns) < 2 {
		return miscounted("COPY loaded nothing: %v", out.values)
	}
	var loaded, parsed int64
	for i := range out.values {
		var n, m, bad int64
		if _, err := fmt.Sscan(out.at(i, "rows_loaded")+" "+out.at(i, "rows_parsed")+" "+out.at(i, "errors_seen"), &n, &m, &bad); err != nil {
			return fmt.Errorf("stg_copy: %w", err)
		}
		if bad > 0 || out.at(i, "status") != "LOADED" {
			return miscounted("COPY of %s: %s, %d errors, the first %q", out.at(i, "file"), out.at(i, "status"), bad, out.at(i, "first_error"))
		}
		loaded, parsed = loaded+n, parsed+m
	}
	if len(out.values) != files || loaded != want || parsed != want {
		return miscounted("COPY of %d files read %d rows and loaded %d; the writer wrote %d files and %d rows", len(out.values), parsed, loaded, files, want)
	}
	return nil
}

// checkCounts compares the values of each column with those that the writer counted.
func checkCounts(out rows, r Run, brand string) error {
	if len(out.values) != 1 {
		return fmt.Errorf("stg_count: %d rows, want one", len(out.values))
	}
	counts := out.values[0]
	if counts[0].String != fmt.Sprint(r.Conversion.Rows) {
		return miscounted("the staging table has %s rows, want %d", counts[0].String, r.Conversion.Rows)
	}
	written := map[string]int64{}
	for _, f := range r.Conversion.Fields {
		written[f.Name] = f.NonNull
	}
	var differ []string
	i := 0
	for _, c := range r.Schema.Columns(brand) {
		if c.Field == "" {
			continue
		}
		i++
		if c.Currency { // the writer counts amounts
			continue
		}
		if counts[i].String != fmt.Sprint(written[c.Field]) {
			differ = append(differ, fmt.Sprintf("%s has %s values, the file %d", c.Name, counts[i].String, written[c.Field]))
		}
	}
	if len(differ) > 0 {
		return miscounted("%s", strings.Join(differ, "; "))
	}
	return nil
}

// miscounted says that what arrived is not what was written.
func miscounted(format string, values ...any) error {
	return waybill.Failf(waybill.Transient, "snowflake.wrong_count",
		"What Snowflake loaded is not what was written; the step is repeated by itself, and if that does not help, report it as a fault of Waybill's.",
		"%w: "+format, append([]any{ErrStagedFiles}, values...)...)
}
