package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// put applies a connector as the registry does: read, change, and once more if
// somebody else was faster.
func (b bundle) put(t *testing.T, id, team, doc string) error {
	t.Helper()
	for {
		was, err := b.Connector(t.Context(), id)
		if err != nil && !errors.Is(err, waybill.ErrNotFound) {
			return err
		}
		if err := b.PutConnector(t.Context(), id, team, was, []byte(doc)); !errors.Is(err, waybill.ErrChanged) {
			return err
		}
	}
}

type mirrored struct {
	Revision int64
	Group    string
	Deleted  bool
	Doc      json.RawMessage
}

// wantMirrored holds our bucket's word on the connector lake against Redis's.
func (b bundle) wantMirrored(t *testing.T) mirrored {
	t.Helper()
	const id = "lake"
	var m mirrored
	if err := json.Unmarshal([]byte(b.bucket.text(t, "documents/connectors/"+id+".json")), &m); err != nil {
		t.Fatal(err)
	}
	doc, err := b.Connector(t.Context(), id)
	if m.Deleted {
		if !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("our bucket says that %s was deleted, Redis has %s, %v", id, doc, err)
		}
		return m
	}
	if text, _ := json.Marshal(m.Doc); err != nil || string(text) != string(doc) {
		t.Errorf("our bucket says %s, Redis %s, %v", text, doc, err)
	}
	return m
}

func TestPeopleWhoApplyAtOnceLeaveBucketAndRedisAgreeing(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		const people, times = 6, 5
		var all sync.WaitGroup
		for p := range people {
			all.Go(func() {
				for n := range times {
					if err := b.put(t, "lake", "team-a", fmt.Sprintf(`{"by":%d,"n":%d,"text":"<&>"}`, p, n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if m := b.wantMirrored(t); m.Revision != people*times || m.Group != "team-a" {
			t.Errorf("%+v, want revision %d", m, people*times)
		}
	})
}

// The same document twice, with another in between: a writer that was held up
// meanwhile must not bring back its own.
func TestAWriterThatWasHeldUpDoesNotUndoWhatCameAfter(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if err := b.put(t, "lake", "team-a", `{"v":1}`); err != nil {
			t.Fatal(err)
		}
		hold, held := make(chan struct{}), make(chan struct{})
		client := b.another(t)
		client.AddHook(beforeCommand(func(c redis.Cmder) error {
			if strings.HasPrefix(c.Name(), "eval") && strings.Contains(fmt.Sprintf("%s", c.Args()), `{"v":2}`) {
				close(held)
				<-hold
			}
			return nil
		}))
		slow := ledger.New(client, b.bucket, nil, ledger.Options{})
		was, _ := b.Connector(t.Context(), "lake")
		done := make(chan error, 1)
		go func() { done <- slow.PutConnector(t.Context(), "lake", "team-a", was, []byte(`{"v":2}`)) }()
		<-held
		for _, doc := range []string{`{"v":3}`, `{"v":1}`} {
			if err := b.put(t, "lake", "team-a", doc); err != nil {
				t.Fatal(err)
			}
		}
		close(hold)
		if err := <-done; err != nil && !errors.Is(err, waybill.ErrChanged) {
			t.Error(err)
		}
		if m := b.wantMirrored(t); m.Revision != 4 {
			t.Errorf("%+v, want revision 4", m)
		}
	})
}

func TestWhoStopsBetweenBucketAndRedisIsFinishedByTheNext(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if err := b.put(t, "lake", "team-a", `{"v":1}`); err != nil {
			t.Fatal(err)
		}
		first, _ := b.Connector(t.Context(), "lake")
		revision := b.wantMirrored(t).Revision
		// As if the process had ended after its write to the bucket.
		if err := b.put(t, "lake", "team-a", `{"v":2}`); err != nil {
			t.Fatal(err)
		}
		b.rdb.HSet(t.Context(), "wb:{docs}:connectors:of:team-a", "lake", first)
		b.rdb.HSet(t.Context(), "wb:{docs}:connectors:revision", "lake", revision)

		if err := b.PutConnector(t.Context(), "lake", "team-a", first, []byte(`{"v":3}`)); !errors.Is(err, waybill.ErrChanged) {
			t.Errorf("got %v, want ErrChanged: the bucket has what the caller did not read", err)
		}
		if doc, err := b.Connector(t.Context(), "lake"); err != nil || string(doc) != `{"v":2}` {
			t.Errorf("%s, %v; want what the bucket has", doc, err)
		}
	})
}

func TestIDsStayUsedThoughRedisIsLost(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if err := errors.Join(b.put(t, "lake", "team-a", `{"v":1}`), b.put(t, "pond", "team-a", `{"v":1}`), b.DeleteConnector(t.Context(), "pond")); err != nil {
			t.Fatal(err)
		}
		b.rdb.FlushAll(t.Context())
		for id, team := range map[string]string{"pond": "team-a", "lake": "team-b"} {
			if err := b.put(t, id, team, `{"v":2}`); !errors.Is(err, waybill.ErrIDUsed) {
				t.Errorf("%s took %s: %v", team, id, err)
			}
		}
		if err := b.DeleteConnector(t.Context(), "pond"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("deleting what was deleted: %v", err)
		}
		if err := b.put(t, "lake", "team-a", `{"v":2}`); err != nil {
			t.Error(err)
		}
		if m := b.wantMirrored(t); m.Revision != 2 {
			t.Errorf("%+v", m)
		}
	})
}

func TestABucketThatLostADocumentGetsItWithTheNextChange(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if err := errors.Join(b.put(t, "lake", "team-a", `{"v":1}`), b.put(t, "lake", "team-a", `{"v":2}`),
			b.bucket.Delete(t.Context(), "documents/connectors/lake.json"), b.put(t, "lake", "team-a", `{"v":3}`)); err != nil {
			t.Fatal(err)
		}
		if m := b.wantMirrored(t); m.Revision != 3 {
			t.Errorf("%+v", m)
		}
	})
}

func TestAConnectorTakesEffectOnlyWithOurBucket(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		away := errors.New("the bucket is away")
		b.bucket.during(func(string) error { return away })
		if err := b.PutConnector(t.Context(), "lake", "team-a", nil, []byte(`{}`)); !errors.Is(err, away) {
			t.Errorf("got %v", err)
		}
		if _, err := b.Connector(t.Context(), "lake"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("the connector is there: %v", err)
		}
	})
}

func TestMirroringOtherDocuments(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		for _, doc := range []string{`{"at": 1}`, `{"at": 2}`} {
			if err := b.Mirror(t.Context(), "cursors", "acme.activity", json.RawMessage(doc)); err != nil {
				t.Fatal(err)
			}
		}
		b.rdb.FlushAll(t.Context())
		if _, err := b.Mirrored(t.Context(), "cursors", "acme.activity"); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("after Redis was lost: %v", err)
		}
		if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
			t.Fatal(err)
		}
		if doc, err := b.Mirrored(t.Context(), "cursors", "acme.activity"); err != nil || string(doc) != `{"at":2}` {
			t.Errorf("%s, %v", doc, err)
		}
		for _, name := range [][2]string{{"../x", "id"}, {"cursors", "a/b"}, {"connectors", "lake"}} {
			if err := b.Mirror(t.Context(), name[0], name[1], json.RawMessage(`{}`)); err == nil {
				t.Errorf("%v was mirrored", name)
			}
		}
	})
}
