package ledger_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/testservers"
)

// roomy is a Redis that evicts nothing, and tells a digest of all it holds.
func roomy(t *testing.T) *redis.Client {
	t.Helper()
	return testservers.Redis(t, "--maxmemory-policy", "noeviction", "--enable-debug-command", "yes").Client(t)
}

func digest(t *testing.T, rdb *redis.Client) string {
	t.Helper()
	sum, err := rdb.Do(t.Context(), "DEBUG", "DIGEST").Text()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func maxMemory(t *testing.T, rdb *redis.Client, bytes int) {
	t.Helper()
	if err := rdb.ConfigSet(t.Context(), "maxmemory", strconv.Itoa(bytes)).Err(); err != nil {
		t.Fatal(err)
	}
}

// memory is a figure of what Redis uses: used_memory or used_memory_peak.
func memory(t *testing.T, rdb *redis.Client, figure string) int {
	t.Helper()
	for line := range strings.Lines(rdb.Info(t.Context(), "memory").Val()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), figure+":"); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("Redis does not tell its %s", figure)
	return 0
}

func TestARedisWithoutMemoryRefusesRunsWhole(t *testing.T) {
	rdb := roomy(t)
	b := setup(t, rdb, ledger.Options{})
	b.plan(t, run("job_1"), 4)
	before := digest(t, rdb)

	maxMemory(t, rdb, 1)
	replaced := run("job_1")
	replaced.RowCount, replaced.Replace = 4, true
	for name, r := range map[string]waybill.Run{"new": run("job_2"), "same": run("job_1"), "replaced": replaced} {
		_, err := b.Accept(t.Context(), r)
		wantUnavailable(t, err, "redis.out_of_memory")
		if digest(t, rdb) != before {
			t.Errorf("%s: it was refused, and changed what Redis holds", name)
		}
	}

	maxMemory(t, rdb, 0)
	if a, err := b.Accept(t.Context(), run("job_2")); err != nil || a.Outcome != ledger.OutcomeNew {
		t.Errorf("when there was memory again: %+v, %v", a, err)
	}
}

// Redis looks at its memory before a script's first write and not after it: a
// script that began ends, beyond the limit if need be, and nothing is half
// written. The limit is raised until the script just begins.
func TestAScriptThatBeganIsNotCutShortByTheMemory(t *testing.T) {
	const size, step = 1 << 20, 64 << 10
	rdb := roomy(t)
	b := setup(t, rdb, ledger.Options{})
	big := run("job_1")
	big.Source.URI += "?" + strings.Repeat("x", size)

	limit, refused, before := memory(t, rdb, "used_memory"), 0, digest(t, rdb)
	for ; ; limit += step {
		maxMemory(t, rdb, limit)
		a, err := b.Accept(t.Context(), big)
		if err == nil {
			if a.Outcome != ledger.OutcomeNew {
				t.Errorf("outcome is %s", a.Outcome)
			}
			break
		}
		if refused++; refused > 100 {
			t.Fatal(err)
		}
		wantUnavailable(t, err, "redis.out_of_memory")
		if digest(t, rdb) != before {
			t.Fatalf("refused with a limit of %d bytes, it changed what Redis holds", limit)
		}
	}
	if peak := memory(t, rdb, "used_memory_peak"); refused == 0 || peak <= limit {
		t.Errorf("refused %d times; the script that was let through took the memory to %d bytes, which is not beyond the limit of %d", refused, peak, limit)
	}
	if got, err := b.Run(t.Context(), big.RunKey); err != nil || got.Run.Source.URI != big.Source.URI {
		t.Errorf("of the run %d bytes were kept, %v", len(got.Run.Source.URI), err)
	}
	if list, err := b.Unplanned(t.Context(), 10); err != nil || len(list) != 1 {
		t.Errorf("to be planned: %v, %v", list, err)
	}
	if schemas, err := b.Schemas(t.Context(), big.TeamID, big.WorkflowID); err != nil || len(schemas) != 1 {
		t.Errorf("schema versions: %v, %v", schemas, err)
	}
}
