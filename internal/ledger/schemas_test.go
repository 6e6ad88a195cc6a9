package ledger_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestSchemas(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		first, second, again := run("job_1"), run("job_2"), run("job_3")
		second.Schema = waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "Budget", DataType: waybill.Money}}}
		for _, r := range []waybill.Run{first, second, again} {
			if _, err := b.Accept(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Schemas(t.Context(), "team-a", "wf_movies")
		if want := map[int]waybill.Schema{1: first.Schema, 2: second.Schema}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Schemas = %v, %v, want %v", got, err, want)
		}
		for _, name := range [][2]string{{"team-b", "wf_movies"}, {"team-a", "wf_movie"}} {
			if got, err := b.Schemas(t.Context(), name[0], name[1]); err != nil || len(got) != 0 {
				t.Errorf("Schemas of %v = %v, %v", name, got, err)
			}
		}
	})
}

var justNow = time.Now().Add(time.Hour).UTC()

// live is a run that finished just now, so that only its schema can make our
// bucket be asked for it.
func live(job string, fields ...string) waybill.Run {
	r := run(job)
	r.FinishedAt = justNow
	if len(fields) > 0 {
		r.Schema.Fields = nil
	}
	for _, name := range fields {
		r.Schema.Fields = append(r.Schema.Fields, waybill.Field{Name: name, DataType: waybill.String})
	}
	return r
}

func (b bundle) version(t *testing.T, r waybill.Run) int {
	t.Helper()
	a, err := b.Accept(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a.SchemaVersion
}

func TestOurBucketIsAskedOnlyForASchemaThatWasNotSeenBefore(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.version(t, live("job_1"))
		if got, want := b.bucket.asked(), []string{"put schemas/team-a/wf_movies/1.json"}; !slices.Equal(got, want) {
			t.Errorf("for a new schema %v, want %v", got, want)
		}
		b.version(t, live("job_2"))
		b.version(t, live("job_1"))
		if got := b.bucket.asked(); len(got) > 0 {
			t.Errorf("for a known schema %v", got)
		}
	})
}

func TestALostRedisDoesNotRenumberSchemas(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		for i, field := range []string{"One", "Two", "Three"} {
			if n := b.version(t, live("job_"+field, field)); n != i+1 {
				t.Fatalf("%s has version %d", field, n)
			}
		}
		if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		got := []int{b.version(t, live("job_4", "Four")), b.version(t, live("job_5", "Two")), b.version(t, live("job_6", "One"))}
		if want := []int{4, 2, 1}; !slices.Equal(got, want) {
			t.Errorf("after Redis was lost: versions %v, want %v", got, want)
		}
	})
}

// A producer that stops between our bucket and Redis leaves a version that
// Redis does not know. Whoever comes next learns of it before it takes another.
func TestAVersionOfAProducerThatStoppedStaysItsSchemas(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		b.version(t, live("job_1", "One"))
		other := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()}) // so that only the bucket hears of it
		defer other.Close()
		stopped := bundle{Ledger: ledger.New(other, b.bucket, nil, ledger.Options{})}
		if n := stopped.version(t, live("job_2", "Two")); n != 2 {
			t.Fatalf("version %d, want 2", n)
		}
		if n := b.version(t, live("job_3", "Three")); n != 3 {
			t.Errorf("another schema has version %d, want 3", n)
		}
		b.bucket.asked()
		if n := b.version(t, live("job_2", "Two")); n != 2 {
			t.Errorf("the schema of the stopped producer has version %d, want 2", n)
		}
		if got := b.bucket.asked(); len(got) > 0 {
			t.Errorf("our bucket was asked again: %v", got)
		}
	})
}

func TestProducersThatRaceWithNewSchemas(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		const producers, schemas = 24, 4
		var mu sync.Mutex
		versions := map[string]map[int]bool{}
		var all sync.WaitGroup
		for i := range producers {
			all.Go(func() {
				field := fmt.Sprintf("Field%d", i%schemas)
				a, err := b.Accept(t.Context(), live(fmt.Sprintf("job_%d", i), field))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if versions[field] == nil {
					versions[field] = map[int]bool{}
				}
				versions[field][a.SchemaVersion] = true
			})
		}
		all.Wait()
		var got []int
		for field, of := range versions {
			if len(of) != 1 {
				t.Errorf("%s has versions %v, want one", field, of)
			}
			got = slices.AppendSeq(got, maps.Keys(of))
		}
		slices.Sort(got)
		if want := []int{1, 2, 3, 4}; !slices.Equal(got, want) {
			t.Errorf("versions %v, want %v", got, want)
		}
		if n := len(b.bucket.keys(t, "schemas/")); n != schemas {
			t.Errorf("%d versions in our bucket, want %d", n, schemas)
		}
	})
}
