package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/ledger"
)

const (
	workAgree  = "compare itself with the other schedulers"
	agreeEvery = 15 * time.Second
)

// Agreement compares what this scheduler goes by with what the others do.
type Agreement struct {
	fleet *Fleet
	name  string
	last  map[string]string // what differed from each of the others when it was looked at last
	told  map[string]string // likewise, of what was logged
}

// NewAgreement names the scheduler by its host, where a person may look for it.
func (f *Fleet) NewAgreement() *Agreement {
	host, err := os.Hostname()
	if err != nil {
		host = "scheduler"
	}
	return &Agreement{fleet: f, name: host + "-" + strings.ToLower(rand.Text()[:4]), told: map[string]string{}}
}

// settings are what this scheduler goes by.
func (a *Agreement) settings(ctx context.Context) (ledger.SchedulerSettings, error) {
	s := ledger.SchedulerSettings{Name: a.name, Settings: a.fleet.Config.Digests(), Connectors: map[string]string{}}
	all, err := a.fleet.Connectors.List(ctx, "")
	if err != nil {
		return s, err
	}
	for i, sub := range a.fleet.subscribersOf(all) {
		c := all[i]
		s.Connectors[c.ID] = config.Digest([]any{c.Workflows, c.Kind, sub.MaxInFlight, sub.Destination, sub.Notify, sub.Backfill})
	}
	return s, nil
}

// Compare tells the other schedulers what this one goes by, and says where they
// differ: in the metrics, and, once, in the log. A change that reaches one of
// them a moment before the other is not told: what differs twice in a row is.
func (a *Agreement) Compare(ctx context.Context) error {
	mine, err := a.settings(ctx)
	if err != nil {
		return err
	}
	others, err := a.fleet.Ledger.AnnounceScheduler(ctx, mine)
	if err != nil {
		return err
	}
	now, sections := map[string]string{}, map[string]int{}
	for _, other := range others {
		what := mine.Differences(other)
		now[other.Name] = strings.Join(what, ", ")
		if now[other.Name] != a.last[other.Name] {
			continue
		}
		for _, section := range sectionsOf(what) {
			sections[section]++
		}
		if a.told[other.Name] != now[other.Name] {
			a.fleet.Log.WarnContext(ctx, "two schedulers go by different configurations", "this", mine.Name, "other", other.Name,
				"differ", shorten(what), "action", MendSchedulers)
			a.told[other.Name] = now[other.Name]
		}
	}
	maps.DeleteFunc(a.told, func(other, _ string) bool { return now[other] == "" })
	a.last = now
	a.fleet.rounds().Differ(sections)
	return nil
}

// MendSchedulers is what to do where schedulers differ.
const MendSchedulers = "Give all schedulers the same waybill.yaml and WAYBILL_ variables, and restart those that had others."

// sectionsOf are the sections of the configuration that paths are in.
func sectionsOf(what []string) (sections []string) {
	for _, path := range what {
		section, _, _ := strings.Cut(path, ".")
		if strings.HasPrefix(path, "connector ") {
			section = "connectors"
		}
		sections = append(sections, section)
	}
	slices.Sort(sections)
	return slices.Compact(sections)
}

// SchedulersDiffer says in a sentence where two of the schedulers differ; it is
// empty where all agree. Connectors alone are no difference yet: what is applied
// reaches one scheduler some seconds before another.
func SchedulersDiffer(all []ledger.SchedulerSettings) string {
	for i := range all {
		for _, other := range all[:i] {
			what := all[i].Differences(other)
			if len(what) > 0 && !strings.HasPrefix(what[0], "connector ") { // those come behind the settings
				return fmt.Sprintf("%s and %s differ in %s", other.Name, all[i].Name, shorten(what))
			}
		}
	}
	return ""
}

// shorten lists the first few.
func shorten(what []string) string {
	const few = 10
	text := strings.Join(what[:min(len(what), few)], ", ")
	if more := len(what) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
