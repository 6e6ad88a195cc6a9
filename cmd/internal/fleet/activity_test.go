package fleet_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
)

// lag is what a scheduler's metrics tell of connectors of kind deltasharing; -1 if nothing.
func (w *world) lag() float64 {
	w.t.Helper()
	for line := range strings.Lines(w.ask(http.MethodGet, "/metrics", "", "").body) {
		if rest, ok := strings.CutPrefix(line, `waybill_activity_lag_seconds{kind="deltasharing"} `); ok {
			lag, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				w.t.Fatal(err)
			}
			return lag
		}
	}
	return -1
}

func TestTheLagIsThatOfTheActivityLogThatIsFurthestBehind(t *testing.T) {
	w := start(t, func(c *config.Config) {
		c.Platform.URL = "https://platform.example"
		c.Sharing.URL, c.Sharing.Storage = "https://tables.example/delta", "file://"+t.TempDir()
	})
	if got := w.lag(); got != -1 {
		t.Errorf("without a connector the lag is %v", got)
	}
	for _, id := range []string{"acme-a", "acme-b"} {
		w.apply(connectors.Connector{ID: id, Team: "team-a", Kind: waybill.KindDeltaSharing, DeltaSharing: &connectors.DeltaSharing{}})
	}
	const patience = 120.0 // this test may be slow
	if got := w.lag(); got < 0 || got > patience {
		t.Errorf("of connectors that were just made the lag is %v s", got)
	}
	for id, ago := range map[string]time.Duration{"acme-a": time.Minute, "acme-b": time.Hour} {
		must(t, w.Ledger.MoveActivityCursor(t.Context(), id, ledger.ActivityCursor{Until: time.Now().Add(-ago)}))
	}
	if got := w.lag(); got < 3600 || got > 3600+patience {
		t.Errorf("the lag is %v s, want that of the one an hour behind", got)
	}
	off := false
	w.apply(connectors.Connector{ID: "acme-b", Team: "team-a", Kind: waybill.KindDeltaSharing, ActivityLog: &off, DeltaSharing: &connectors.DeltaSharing{}})
	if got := w.lag(); got < 60 || got > 60+patience {
		t.Errorf("with that one switched off the lag is %v s", got)
	}
}
