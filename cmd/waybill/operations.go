package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
)

// requestFlags say who wants an operation, and why; both stand in its receipt.
type requestFlags struct{ by, why string }

func (r *requestFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.by, "by", "", "who asks for it, for the receipt (default: user@host)")
	cmd.Flags().StringVar(&r.why, "why", "", "the reason, for the receipt")
}

func (r *requestFlags) request() handlers.Request {
	return handlers.Request{By: cmp.Or(r.by, whoami()), Why: r.why}
}

// whoami is the person at this machine, as far as it knows.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// printOperations says what operations did, a table a line.
func printOperations(w io.Writer, receipts ...waybill.OperationReceipt) {
	for _, r := range receipts {
		fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Connector, r.Operation, r.WorkflowID, r.JobID)))
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, c := range r.Changes {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Table, c.Effect, changeText(c))
		}
		_ = t.Flush() // as with every line that is printed
	}
}

func changeText(c waybill.TableChange) string {
	switch {
	case c.To != 0 && c.From == c.To:
		return fmt.Sprintf("V%d", c.To)
	case c.To != 0 && c.From != 0:
		return fmt.Sprintf("V%d to V%d", c.From, c.To)
	case c.To != 0:
		return fmt.Sprintf("to V%d", c.To)
	case c.Files > 0:
		return fmt.Sprintf("%d rows, %d files, %d bytes", c.Rows, c.Files, c.Bytes)
	}
	return fmt.Sprintf("%d rows", c.Rows)
}
