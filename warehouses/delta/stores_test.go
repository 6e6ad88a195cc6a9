package delta_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// stores are all kinds of store, on real servers.
func stores(t *testing.T) map[string]func(t *testing.T) storage.Store {
	return map[string]func(t *testing.T) storage.Store{
		"folder": func(t *testing.T) storage.Store {
			return opened[*storage.Folder](t)(storage.OpenFolder(t.TempDir()))
		},
		"s3": func(t *testing.T) storage.Store {
			server := testservers.S3(t)
			server.Bucket(t, "tables")
			return opened[*storage.S3](t)(storage.NewS3(t.Context(), storage.S3Options{Bucket: "tables", Prefix: "acme", Endpoint: server.Endpoint,
				Region: server.Region, PathStyle: true, Client: client(t), Keys: func(context.Context) (storage.Keys, error) {
					return storage.Keys{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}, nil
				}}))
		},
		"gcs": func(t *testing.T) storage.Store {
			server := testservers.GCS(t)
			server.Bucket(t, "tables")
			return opened[*storage.GCS](t)(storage.NewGCS(t.Context(), storage.GCSOptions{Bucket: "tables", Prefix: "acme", Endpoint: server.Endpoint,
				Anonymous: true, Client: client(t)}))
		},
		"azure": func(t *testing.T) storage.Store {
			server := testservers.Azure(t)
			server.Container(t, "tables")
			return opened[*storage.Azure](t)(storage.NewAzure(t.Context(), storage.AzureOptions{Container: "tables", Prefix: "acme", Endpoint: server.Endpoint,
				Account: server.Account, Client: client(t), SharedKey: func(context.Context) (string, error) { return server.Key, nil }}))
		},
	}
}

func opened[S storage.Store](t *testing.T) func(S, error) storage.Store {
	return func(s S, err error) storage.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := any(s).(interface{ Close() error }); ok {
			t.Cleanup(func() { c.Close() })
		}
		return s
	}
}

func client(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Two writers who know nothing of each other load 200 jobs each: every row is
// there once, and the versions have no gap.
func TestTwoWritersLoseNoCommitAndDoubleNone(t *testing.T) {
	const each = 200
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			options := delta.Options{CheckpointEvery: 20}
			runs := waybill.MetadataTables()[0]
			if _, err := delta.Open(store, "runs", options).Create(t.Context(), delta.Definition{Name: runs.Name, Columns: runs.Columns}); err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			for writer := range 2 {
				table := delta.Open(store, "runs", options)
				group.Go(func() {
					for i := range each {
						rows := []delta.Row{{"WORKFLOW_ID": fmt.Sprint(writer), "JOB_ID": fmt.Sprint(i), "ROW_COUNT": int64(i)}}
						if _, err := table.AppendRows(t.Context(), fmt.Sprint(writer), int64(i+1), rows); err != nil {
							t.Errorf("writer %d, commit %d: %v", writer, i, err)
							return
						}
					}
				})
			}
			group.Wait()
			table := delta.Open(store, "runs", options)
			s, err := table.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if rows, _ := s.Rows(); rows != 2*each || s.Version != 2*each || len(s.Files()) != 2*each {
				t.Errorf("%d rows in %d files at version %d, want %d", rows, len(s.Files()), s.Version, 2*each)
			}
			versions, err := table.Versions(t.Context())
			if err != nil || len(versions) != 2*each+1 || versions[2*each].Version != 2*each {
				t.Errorf("there are %d versions: %v", len(versions), err)
			}
			seen := map[string]bool{}
			for _, a := range s.Files() {
				stats, _ := a.Statistics()
				seen[fmt.Sprint(stats.MinValues["WORKFLOW_ID"], stats.MinValues["JOB_ID"])] = true
			}
			if len(seen) != 2*each {
				t.Errorf("%d different rows, want %d", len(seen), 2*each)
			}
		})
	}
}

// A table's whole life on every store.
func TestATableLivesOnEveryStore(t *testing.T) {
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := open(t)
			options := delta.Options{CheckpointEvery: 3, CompactAbove: 3}
			definition := waybill.MetadataTables()[0]
			table := delta.Open(store, "wf/runs", options)
			if _, err := table.Create(t.Context(), delta.Definition{Name: definition.Name, Comment: definition.Comment, Columns: definition.Columns}); err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				row := delta.Row{"WORKFLOW_ID": "wf", "JOB_ID": fmt.Sprint(i % 6), "ROW_COUNT": int64(i)}
				if _, err := table.Upsert(t.Context(), definition.Key, []delta.Row{row}); err != nil {
					t.Fatal(err)
				}
			}
			if c, err := table.Compact(t.Context()); err != nil || !c.Changed || len(c.Files()) != 1 {
				t.Fatalf("compacted to %+v: %v", c, err)
			}
			latest := delta.Open(store, "wf/latest", options)
			mirror := delta.Mirror{Definition: delta.Definition{Name: "LATEST", Columns: definition.Columns}, Source: table, SchemaVersion: 1}
			if _, err := latest.Follow(t.Context(), mirror); err != nil {
				t.Fatal(err)
			}
			for _, reader := range []*delta.Table{delta.Open(store, "wf/runs", options), delta.Open(store, "wf/latest", options)} {
				s, err := reader.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				rows, err := reader.Rows(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				var counts []int64
				for _, r := range rows {
					counts = append(counts, r["ROW_COUNT"].(int64))
				}
				slices.Sort(counts)
				if !slices.Equal(counts, []int64{2, 3, 4, 5, 6, 7}) {
					t.Errorf("%s holds %v", reader.URL(), counts)
				}
			}
			if history, err := table.History(t.Context(), 2); err != nil || history[0].Operation != "OPTIMIZE" || history[1].Operation != "MERGE" {
				t.Errorf("the history is %+v: %v", history, err)
			}
		})
	}
}
