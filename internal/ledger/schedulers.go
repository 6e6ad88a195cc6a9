package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Schedulers decide side by side, each by its own configuration. So that
// somebody notices when these differ, each tells the others what it goes by,
// in digests; what a silent one said is forgotten.
const (
	schedulersAlive  = "wb:{schedulers}:alive"
	schedulersSay    = "wb:{schedulers}:say"
	schedulerSilence = time.Minute // after which a scheduler is taken to be gone
)

var announceScript = named("announce", lua("announce"))

// SchedulerSettings are what a scheduler goes by, as digests.
type SchedulerSettings struct {
	Name       string            `json:"-"`
	Settings   map[string]string `json:"settings"`   // by their paths in the configuration
	Connectors map[string]string `json:"connectors"` // by their ids
}

// Differences names what two schedulers do not agree in: paths of settings,
// and behind them connectors.
func (s SchedulerSettings) Differences(other SchedulerSettings) []string {
	list := differing(s.Settings, other.Settings)
	for _, id := range differing(s.Connectors, other.Connectors) {
		list = append(list, "connector "+id)
	}
	return list
}

func differing(a, b map[string]string) (keys []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if a[key] != b[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// AnnounceScheduler tells the other schedulers what one goes by, and that it is
// alive; it is repeated well within a minute. It returns the others that go by
// something else.
func (l *Ledger) AnnounceScheduler(ctx context.Context, s SchedulerSettings) ([]SchedulerSettings, error) {
	text, err := json.Marshal(s) // the keys of maps in order
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:8])
	digests, err := l.announce(ctx, s.Name, digest, nil)
	if err == nil && len(digests) == 0 {
		digests, err = l.announce(ctx, s.Name, digest, text)
	}
	if err != nil || !slices.ContainsFunc(digests, func(d string) bool { return d != digest }) {
		return nil, err
	}
	all, err := l.Schedulers(ctx)
	return slices.DeleteFunc(all, func(other SchedulerSettings) bool { return len(s.Differences(other)) == 0 }), err
}

func (l *Ledger) announce(ctx context.Context, name, digest string, text []byte) ([]string, error) {
	digests, err := announceScript.Run(ctx, l.rdb, []string{schedulersAlive, schedulersSay}, name, digest, text, millis(schedulerSilence)).StringSlice()
	if err != nil {
		return nil, classify(err)
	}
	return digests, nil
}

// Schedulers returns what those that are alive go by.
func (l *Ledger) Schedulers(ctx context.Context) ([]SchedulerSettings, error) {
	now, err := l.Now(ctx)
	if err != nil {
		return nil, err
	}
	alive, err := l.rdb.HGetAll(ctx, schedulersAlive).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	say, err := l.rdb.HGetAll(ctx, schedulersSay).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	var list []SchedulerSettings
	for _, name := range slices.Sorted(maps.Keys(say)) {
		at, _, _ := strings.Cut(alive[name], " ")
		if now.Sub(fromMillis(at)) > schedulerSilence {
			continue
		}
		s := SchedulerSettings{Name: name}
		if err := json.Unmarshal([]byte(say[name]), &s); err != nil {
			return nil, fmt.Errorf("decode settings of scheduler %s: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}
