package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
)

func (p *program) backfill() *cobra.Command {
	cmd := &cobra.Command{Use: "backfill", Short: "Bring a connector the runs of the past, without ever hurting live work"}
	cmd.AddCommand(p.backfillStart(), p.backfillStatus(), p.backfillPause(), p.backfillResume(), p.backfillCancel())
	return cmd
}

func (p *program) backfillStart() *cobra.Command {
	var plan ledger.BackfillPlan
	var from, to, manifest string
	var dryRun, asJSON, activity bool
	cmd := &cobra.Command{
		Use:   "start CONNECTOR",
		Short: "Plan a backfill and start it, after the connector's first live delivery",
		Long: "List the finished runs of the past, from the platform's history or a manifest, and deliver them, the oldest first, behind all live work.\n\n" +
			"Nothing starts before a first live delivery to the connector is complete. Each run is delivered once, whoever brings it.",
		Args: cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) (err error) {
			c, err := f.Connectors.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			plan.Connector, plan.Team = c.ID, c.Team
			if err := errors.Join(parseTime("--from", from, &plan.From), parseTime("--to", to, &plan.To)); err != nil {
				return err
			}
			if activity {
				return p.requestActivity(cmd, f, c, plan.From)
			}
			if manifest != "" {
				if plan.Manifest, err = uploadManifest(cmd.Context(), f, c, manifest); err != nil {
					return fmt.Errorf("%s: %w", manifest, err)
				}
			}
			if dryRun {
				return measure(cmd, f, c, plan, asJSON)
			}
			if plan, err = f.Ledger.StartBackfill(cmd.Context(), plan, false); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "backfill %d of %s begins; see `waybill backfill status %s`\n", plan.Number, c.ID, c.ID)
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "runs that finished since then, e.g. 2024-01-01 or 2024-01-01T00:00:00Z")
	flags.StringVar(&to, "to", "", "runs that finished before then; left out: before now")
	flags.StringSliceVar(&plan.Workflows, "workflow", nil, "runs of this workflow alone; may be given more than once")
	flags.StringVar(&manifest, "manifest", "", "file that lists the runs, a run document in each line; left out: the platform's history does")
	flags.StringVar(&plan.First, "first", "", "deliver the run of this job as the first live one, for a workflow that no longer runs")
	flags.BoolVar(&activity, "activity", false, "bring the activity log since --from, in place of runs; what is there is read again and stays once")
	flags.BoolVar(&dryRun, "dry-run", false, "say what there is to do, and do nothing")
	flags.BoolVar(&asJSON, "json", false, "with --dry-run: as JSON")
	for _, other := range []string{"to", "workflow", "manifest", "first", "dry-run"} {
		cmd.MarkFlagsMutuallyExclusive("activity", other)
	}
	return cmd
}

// requestActivity has the activity log of a connector hold what happened since a time.
func (p *program) requestActivity(cmd *cobra.Command, f *fleet.Fleet, c connectors.Connector, from time.Time) error {
	switch {
	case !c.LogsActivity():
		return fmt.Errorf("connector %s has no activity log; apply it with activityLog: true", c.ID)
	case from.IsZero() || from.After(time.Now()):
		return errors.New("--activity wants --from, a day or a time of the past")
	}
	if err := f.Ledger.RequestActivity(cmd.Context(), c.ID, from); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "the activity of %s since %s arrives with the next ticks\n", c.ID, from.Format(time.RFC3339))
	return nil
}

// parseTime reads a time or a day.
func parseTime(flag, text string, to *time.Time) error {
	if text == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			*to = t.UTC()
			return nil
		}
	}
	return fmt.Errorf("%s %q: write a day such as 2025-01-15, or a time such as 2025-01-15T10:30:00Z", flag, text)
}

// uploadManifest checks every line of a manifest and puts it into our bucket.
// A relative source is relative to the file.
func uploadManifest(ctx context.Context, f *fleet.Fleet, c connectors.Connector, file string) (key string, err error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.CreateTemp("", "waybill-manifest-*.jsonl")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	sum, text := sha256.New(), bufio.NewWriter(out)
	lines := json.NewEncoder(io.MultiWriter(sum, text))
	for run, err := range handlers.ReadManifest(in, c.Team) {
		if err == nil {
			err = fleet.ResolveSource(&run, filepath.Dir(file))
		}
		if err == nil {
			err = lines.Encode(run)
		}
		if err != nil {
			return "", err
		}
	}
	if err := text.Flush(); err != nil {
		return "", err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	bucket, err := f.OwnBucket(ctx)
	if err != nil {
		return "", err
	}
	key = handlers.ManifestKey(c.ID, hex.EncodeToString(sum.Sum(nil)))
	_, err = bucket.Put(ctx, key, out, storage.PutOptions{ContentType: "application/jsonl"})
	return key, err
}

func measure(cmd *cobra.Command, f *fleet.Fleet, c connectors.Connector, plan ledger.BackfillPlan, asJSON bool) error {
	if plan.To.IsZero() {
		plan.To = time.Now().UTC()
	}
	size, err := f.MeasureBackfill(cmd.Context(), c, plan)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), size)
	}
	fmt.Fprint(cmd.OutOrStdout(), sizeText(size))
	return nil
}

func sizeText(s ledger.BackfillSize) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "runs       %d, %d rows, in %d chunks", s.Runs, s.Rows, s.Chunks)
	if s.Unfinished > 0 {
		fmt.Fprintf(&b, " (%d more have not finished, or failed: they are never delivered)", s.Unfinished)
	}
	fmt.Fprintf(&b, "\nestimate   %.1f MB, %s, %d objects written", float64(s.Bytes)/1e6, s.Time, s.Objects)
	if s.Credits > 0 {
		fmt.Fprintf(&b, ", %.1f Snowflake credits", s.Credits)
	}
	return b.String() + "\n"
}

func (p *program) backfillStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [CONNECTOR]",
		Short: "Show how far a backfill has come, when it may end, and which of its runs failed; without a connector: all of them",
		Args:  cobra.MaximumNArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			if len(args) == 0 {
				return listBackfills(cmd, f, asJSON)
			}
			plan, err := f.Ledger.Backfill(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			progress, err := f.BackfillProgress(cmd.Context(), plan)
			if err != nil {
				return err
			}
			now, err := f.Ledger.Now(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"backfill": plan, "progress": progress, "leftSeconds": plan.Left(progress.Ended(), now).Seconds()})
			}
			printBackfill(cmd.OutOrStdout(), plan, progress, now)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func listBackfills(cmd *cobra.Command, f *fleet.Fleet, asJSON bool) error {
	all, err := f.Ledger.Backfills(cmd.Context())
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	for _, b := range all {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %d of %d runs %s\n", b.Connector, b.State, b.Done.Ended(), b.Size.Runs, b.Note)
	}
	return nil
}

func printBackfill(w io.Writer, b ledger.BackfillPlan, progress handlers.BackfillProgress, now time.Time) {
	fmt.Fprintf(w, "backfill   %d of %s, begun %s\nstate      %s\n", b.Number, b.Connector, b.CreatedAt.Format(time.RFC3339), b.State)
	if b.Note != "" {
		fmt.Fprintf(w, "           %s\n", b.Note)
	}
	if !b.NextAt.IsZero() {
		fmt.Fprintf(w, "next try   %s\n", b.NextAt.Format(time.RFC3339))
	}
	fmt.Fprint(w, sizeText(b.Size))
	fmt.Fprintf(w, "progress   %d complete, %d failed, %d cancelled, %d on their way, %d to come\n", progress.Complete, progress.Failed, progress.Cancelled,
		progress.Open, max(0, b.Size.Runs-progress.Ended()-progress.Open))
	if left := b.Left(progress.Ended(), now); left > 0 && b.Active() {
		fmt.Fprintf(w, "left       about %s, until %s\n", left.Round(time.Second), now.Add(left).Format(time.RFC3339))
	}
	for _, d := range progress.Troubled {
		fmt.Fprintf(w, "  %s  %s  job %s: %s\n", d.ID, d.State, d.JobID, cmp.Or(d.Action, "-"))
	}
	if len(progress.Troubled) > 0 {
		fmt.Fprintln(w, "when that is mended: waybill delivery retry ID…, or: waybill delivery retry --connector", b.Connector, "--state failed")
	}
}

// changing is a command that moves a backfill on to another state.
func (p *program) changing(use, short, done string, change func(*ledger.BackfillPlan) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " CONNECTOR", Short: short, Args: cobra.ExactArgs(1),
		RunE: p.with(func(cmd *cobra.Command, f *fleet.Fleet, args []string) error {
			b, err := f.Ledger.ReviseBackfill(cmd.Context(), args[0], 0, change)
			if err != nil {
				return err
			}
			if err := f.Ledger.HoldHistorical(cmd.Context(), b.Team, b.Connector, b.Holds()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "backfill %d of %s %s\n", b.Number, b.Connector, done)
			return nil
		}),
	}
}

func (p *program) backfillPause() *cobra.Command {
	return p.changing("pause", "Stop a backfill until it is resumed; what is under way is finished", "is paused: what is under way ends, the rest waits for `waybill backfill resume`", (*ledger.BackfillPlan).Pause)
}

func (p *program) backfillResume() *cobra.Command {
	return p.changing("resume", "Let a paused or failed backfill go on", "goes on", (*ledger.BackfillPlan).Resume)
}

func (p *program) backfillCancel() *cobra.Command {
	return p.changing("cancel", "End a backfill; what waits is taken back, what was delivered stays", "is being cancelled: what waits is taken back, what was delivered stays", (*ledger.BackfillPlan).Cancel)
}
