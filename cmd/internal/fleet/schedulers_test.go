package fleet_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
)

// sideBySide is another process of the fleet, with a configuration of its own.
func (w *world) sideBySide(change func(*config.Config)) (*fleet.Fleet, *bytes.Buffer) {
	w.t.Helper()
	cfg, log := w.Config, &bytes.Buffer{}
	change(&cfg)
	f, err := fleet.Open(w.t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)), 20)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = f.Close() })
	return f, log
}

func TestSchedulersWithDifferentConfigurationsSaySo(t *testing.T) {
	w := start(t)
	w.apply(w.connector("acme-lake", "team-a"))
	w.apply(w.connector("acme-limited", "team-a"))
	limited := w.connector("acme-limited", "team-a")
	limited.MaxInFlight = 2
	w.apply(limited)
	f, log := w.sideBySide(func(*config.Config) {})
	g, _ := w.sideBySide(func(c *config.Config) { c.Limits.MaxInFlight, c.Times.KeepDeleted = 9, 1 })
	a, b := f.NewAgreement(), g.NewAgreement()
	look := func(all ...*fleet.Agreement) {
		t.Helper()
		for _, one := range all {
			if err := one.Compare(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	series := func(want string) {
		t.Helper()
		want = "# HELP waybill_schedulers_differ Other live schedulers whose configuration differs from this one's, by its section; of a section in which all agree there is none, but for connectors.\n" +
			"# TYPE waybill_schedulers_differ gauge\n" + want
		if err := testutil.GatherAndCompare(f.Registry, strings.NewReader(want), "waybill_schedulers_differ"); err != nil {
			t.Error(err)
		}
	}
	const agree = "waybill_schedulers_differ{section=\"connectors\"} 0\n"
	look(a, a, b)
	series(agree)
	look(a)
	if log.Len() > 0 {
		t.Errorf("what may be a change on its way is told: %s", log)
	}
	look(b, a, b, a)
	text := log.String()
	if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, `differ="limits.maxInFlight, times.keepDeleted, connector acme-lake"`) ||
		!strings.Contains(text, "Give all schedulers the same waybill.yaml") {
		t.Errorf("it logs %s", text)
	}
	series(`waybill_schedulers_differ{section="connectors"} 1
waybill_schedulers_differ{section="limits"} 1
waybill_schedulers_differ{section="times"} 1
`)
	g.Config = f.Config // restarted
	look(b, a, a)
	series(agree)
}

func TestAConnectorThatChangesIsNoDifferenceOfItsSchedulers(t *testing.T) {
	w := start(t)
	f, log := w.sideBySide(func(*config.Config) {})
	g, _ := w.sideBySide(func(*config.Config) {})
	a, b := f.NewAgreement(), g.NewAgreement()
	for i := range 4 { // each time one of them has seen it, and the other has not
		c := w.connector("acme-lake", "team-a")
		c.MaxInFlight = i + 1
		w.apply(c)
		for _, one := range []*fleet.Agreement{a, b, a} {
			if err := one.Compare(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := f.Ledger.Schedulers(t.Context()); err != nil || len(all) != 2 || fleet.SchedulersDiffer(all) != "" {
			t.Errorf("%v, %v: %s", all, err, fleet.SchedulersDiffer(all))
		}
	}
	if log.Len() > 0 {
		t.Errorf("it logs %s", log)
	}
}
