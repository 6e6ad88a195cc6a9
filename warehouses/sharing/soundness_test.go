package sharing

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/waybillhq/waybill/internal/testsize"
	"github.com/waybillhq/waybill/warehouses/delta"
)

const testSchema = `{"type":"struct","fields":[{"name":"N","type":"long"},{"name":"S","type":"string"},{"name":"O","type":{"type":"struct","fields":[]}}]}`

// row is a row of N and S; nil is NULL.
type row struct{ n, s any }

// TestNoFileWithAMatchingRowIsSkipped holds random predicates over random
// files against what the rows themselves say.
func TestNoFileWithAMatchingRowIsSkipped(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	n, skipped := testsize.Of(20_000, 2000), 0
	for range n {
		rows := make([]row, 1+random.IntN(4))
		for i := range rows {
			rows[i] = randomRow(random)
		}
		text, holds := randomPredicate(random, 3)
		where := columnsOf(testSchema).json(text)
		stats := statsOf(t, rows)
		p := where.of(stats)
		if !p.some {
			skipped++
		}
		for _, each := range rows {
			switch is := holds(each); {
			case is != nil && *is && !p.some:
				t.Fatalf("%s skips a file with %v, of which it is true; statistics %+v", text, each, stats)
			case is != nil && !*is && !p.none:
				t.Fatalf("%s is said to be true of all of a file with %v; statistics %+v", text, each, stats)
			}
		}
	}
	if skipped < n/20 {
		t.Errorf("only %d files were skipped; the test does not test", skipped)
	}
}

func randomRow(random *rand.Rand) (r row) {
	if random.IntN(4) > 0 {
		r.n = random.IntN(5)
	}
	if random.IntN(4) > 0 {
		r.s = string(rune('a' + random.IntN(5)))
	}
	return r
}

func statsOf(t *testing.T, rows []row) delta.Statistics {
	t.Helper()
	s := delta.Statistics{NumRecords: int64(len(rows)), MinValues: map[string]any{}, MaxValues: map[string]any{}, NullCount: map[string]int64{"N": 0, "S": 0}}
	take := func(name string, v any) {
		if v == nil {
			s.NullCount[name]++
			return
		}
		if v, ok := v.(int); ok {
			take := func(of map[string]any, sign int) {
				if old, ok := of[name].(json.Number); !ok || sign*strings.Compare(fmt.Sprint(v), old.String()) > 0 { // one digit each
					of[name] = json.Number(fmt.Sprint(v))
				}
			}
			take(s.MinValues, -1)
			take(s.MaxValues, 1)
			return
		}
		text := v.(string)
		if old, ok := s.MinValues[name].(string); !ok || text < old {
			s.MinValues[name] = text
		}
		if old, ok := s.MaxValues[name].(string); !ok || text > old {
			s.MaxValues[name] = text
		}
	}
	for _, r := range rows {
		take("N", r.n)
		take("S", r.s)
	}
	return s
}

// randomPredicate is a predicate, and what SQL says that it is of a row: true, false, or nil for NULL.
func randomPredicate(random *rand.Rand, depth int) (string, func(row) *bool) {
	value := func(b bool) *bool { return &b }
	if depth > 0 && random.IntN(2) == 0 {
		left, a := randomPredicate(random, depth-1)
		right, b := randomPredicate(random, depth-1)
		switch random.IntN(3) {
		case 0:
			return `{"op":"not","children":[` + left + `]}`, func(r row) *bool {
				if is := a(r); is != nil {
					return value(!*is)
				}
				return nil
			}
		case 1:
			return `{"op":"and","children":[` + left + "," + right + `]}`, func(r row) *bool { return both(a(r), b(r), false) }
		default:
			return `{"op":"or","children":[` + left + "," + right + `]}`, func(r row) *bool { return both(a(r), b(r), true) }
		}
	}
	name, kind, of := "n", "long", func(r row) any { return r.n }
	literal := fmt.Sprint(random.IntN(5))
	if random.IntN(2) == 0 {
		name, kind, of = "s", "string", func(r row) any { return r.s }
		literal = string(rune('a' + random.IntN(5)))
	}
	if random.IntN(5) == 0 {
		return `{"op":"isNull","children":[{"op":"column","name":"` + name + `"}]}`, func(r row) *bool { return value(of(r) == nil) }
	}
	operator := []string{"equal", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"}[random.IntN(5)]
	return fmt.Sprintf(`{"op":%q,"children":[{"op":"column","name":%q},{"op":"literal","value":%q,"valueType":%q}]}`, operator, name, literal, kind), func(r row) *bool {
		v := of(r)
		if v == nil {
			return nil
		}
		c := strings.Compare(fmt.Sprint(v), literal)
		return value(map[string]bool{"equal": c == 0, "lessThan": c < 0, "lessThanOrEqual": c <= 0, "greaterThan": c > 0, "greaterThanOrEqual": c >= 0}[operator])
	}
}

// both joins two answers; decides is the one that decides alone.
func both(a, b *bool, decides bool) *bool {
	for _, is := range []*bool{a, b} {
		if is != nil && *is == decides {
			return is
		}
	}
	if a == nil || b == nil {
		return nil
	}
	return a
}
