package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill/internal/ledger"
)

// activityText says how far a connector's activity log has come, and what is
// wrong with it, in comments: what is shown of a connector can be applied.
func activityText(c ledger.ActivityCursor, now time.Time) string {
	var b strings.Builder
	if c.Until.IsZero() {
		b.WriteString("# activity: nothing was read yet\n")
	} else {
		fmt.Fprintf(&b, "# activity: all until %s, %s ago\n", c.Until.Format(time.RFC3339), max(0, now.Sub(c.Until)).Round(time.Second))
	}
	var lost int64
	var late []string
	behind := 0
	for id, w := range c.Workflows {
		if w.Lost > 0 {
			lost += w.Lost
			late = append(late, id)
		}
		if w.From.Before(w.Since) {
			behind++
		}
	}
	if behind > 0 {
		fmt.Fprintf(&b, "# activity: of %d workflows earlier events are still being read\n", behind)
	}
	if lost > 0 {
		slices.Sort(late)
		fmt.Fprintf(&b, "# activity: %d events came more than two days late and are missing, of %s; bring them with: waybill backfill start ID --activity --from DAY\n",
			lost, strings.Join(late, ", "))
	}
	if f := c.Failure; f != nil {
		fmt.Fprintf(&b, "# activity: fails at stage %s since %s (%s): %s\n", f.Stage, f.Since.Format(time.RFC3339), f.Code, f.Action)
	}
	return b.String()
}
