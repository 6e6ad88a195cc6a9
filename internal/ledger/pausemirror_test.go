package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// lose loses the Redis, and makes the ledger anew.
func (b bundle) lose(t *testing.T) {
	t.Helper()
	if err := b.rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rebuild(t.Context(), ledger.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantPause wants the connector acme paused for a reason; "" for going on.
func (b bundle) wantPause(t *testing.T, when, reason string) {
	t.Helper()
	p, err := b.ConnectorPause(t.Context(), "team-a", "acme")
	switch {
	case err != nil:
		t.Fatal(err)
	case reason == "" && p != nil:
		t.Errorf("%s: paused: %+v", when, p)
	case reason != "" && (p == nil || !strings.Contains(p.Reason, reason) || time.Since(p.At).Abs() > time.Hour):
		t.Errorf("%s: %+v, want it paused since just now for %q", when, p, reason)
	}
}

// another ledger on the same Redis and bucket, of another process.
func (b bundle) otherProcess(t *testing.T) *ledger.Ledger {
	return ledger.New(b.another(t), b.bucket.Store, nil, ledger.Options{})
}

var errBucket = errors.New("our bucket does not answer")

func (b bundle) bucketDown() {
	b.bucket.during(func(call string) error {
		if strings.HasPrefix(call, "put ") {
			return errBucket
		}
		return nil
	})
}

func TestAPauseOutlivesRedis(t *testing.T) {
	c := table("team-a", "acme", 4)
	for _, tt := range []struct {
		what, reason  string
		pause, resume func(t *testing.T, b bundle) error
	}{
		{
			"a connector", "acme moves its bucket | at night",
			func(t *testing.T, b bundle) error {
				_, err := b.PauseConnector(t.Context(), c.Team, c.ID, "acme moves its bucket | at night")
				return err
			},
			func(t *testing.T, b bundle) error {
				_, err := b.ResumeConnector(t.Context(), c.Team, c.ID)
				return err
			},
		},
		{
			"a connector, for failures in a row", "2 deliveries in a row failed",
			func(t *testing.T, b bundle) error {
				for i := range 2 {
					b.send(t, c, "export", "wf", fmt.Sprint("fails", i))
					b.fail(t, b.one(t), ledger.Decision{State: waybill.StateFailed, Counts: true})
				}
				return nil
			},
			func(t *testing.T, b bundle) error {
				_, err := b.ResumeConnector(t.Context(), c.Team, c.ID)
				return err
			},
		},
		{
			"a destination", "the region is down",
			func(t *testing.T, b bundle) error {
				_, err := b.PauseDestination(t.Context(), "vendor/region", "the region is down")
				return err
			},
			func(t *testing.T, b bundle) error {
				_, err := b.ResumeDestination(t.Context(), "vendor/region")
				return err
			},
		},
	} {
		t.Run(tt.what, func(t *testing.T) {
			servers(t, ledger.Options{MaxFailures: 2}, func(t *testing.T, b bundle) {
				want := func(when string, paused bool) {
					t.Helper()
					if tt.what != "a destination" {
						b.wantPause(t, when, map[bool]string{true: tt.reason}[paused])
					} else if p, err := b.DestinationPauses(t.Context()); err != nil || (len(p) == 1) != paused || paused && p["vendor/region"].Reason != tt.reason {
						t.Errorf("%s: %v, %v", when, p, err)
					}
				}
				if err := tt.pause(t, b); err != nil {
					t.Fatal(err)
				}
				b.lose(t)
				want("after Redis was lost", true)
				waits := b.send(t, c, "export", "wf", "j1")
				wantIDs(t, "while paused", b.takeIDs())
				if err := tt.resume(t, b); err != nil {
					t.Fatal(err)
				}
				wantIDs(t, "when resumed", b.takeIDs(), waits)
				b.lose(t)
				want("resumed, and Redis lost again", false)
				if err := tt.pause(t, b); err != nil {
					t.Fatal(err)
				}
				b.lose(t)
				want("paused once more", true)
			})
		})
	}
}

func TestAnAutomaticPauseIsStillOneAfterRedisWasLost(t *testing.T) {
	servers(t, ledger.Options{MaxFailures: 1}, func(t *testing.T, b bundle) {
		b.send(t, table("team-a", "acme", 4), "export", "wf", "fails")
		b.fail(t, b.one(t), ledger.Decision{State: waybill.StateFailed, Counts: true})
		before, err := b.ConnectorPause(t.Context(), "team-a", "acme")
		if err != nil {
			t.Fatal(err)
		}
		b.lose(t)
		after, err := b.ConnectorPause(t.Context(), "team-a", "acme")
		if err != nil || *after != *before || !after.Automatic {
			t.Errorf("%+v, %v; was %+v", after, err, before)
		}
	})
}

// Our bucket is down, or the process dies, between Redis and our bucket.
func TestAPauseThatOurBucketMissedIsBroughtThereByTheSweep(t *testing.T) {
	servers(t, ledger.Options{MaxFailures: 1}, func(t *testing.T, b bundle) {
		sweep := func() {
			t.Helper()
			b.bucket.during(nil)
			if err := b.otherProcess(t).MirrorPauses(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.bucket.asked()
			if err := b.MirrorPauses(t.Context()); err != nil || len(b.bucket.asked()) > 0 {
				t.Errorf("the next sweep, %v, asked our bucket of what it knows", err)
			}
			b.lose(t)
		}
		b.bucketDown()
		if changed, err := b.PauseConnector(t.Context(), "team-a", "acme", "maintenance"); !changed || !errors.Is(err, errBucket) {
			t.Fatalf("paused: %t, %v; want it in effect, and said", changed, err)
		}
		b.wantPause(t, "with our bucket down", "maintenance")
		sweep()
		b.wantPause(t, "a pause after the sweep", "maintenance")

		b.bucketDown()
		if changed, err := b.ResumeConnector(t.Context(), "team-a", "acme"); !changed || !errors.Is(err, errBucket) {
			t.Fatalf("resumed: %t, %v", changed, err)
		}
		sweep()
		b.wantPause(t, "a resume after the sweep", "")

		b.send(t, table("team-a", "acme", 4), "export", "wf", "fails")
		ready := b.one(t)
		b.bucketDown()
		if s := b.fail(t, ready, ledger.Decision{State: waybill.StateFailed, Counts: true}); !s.Pauses {
			t.Errorf("settled as %+v", s)
		}
		sweep()
		b.wantPause(t, "an automatic pause after the sweep", "in a row")

		b.bucketDown()
		if _, err := b.ResumeConnector(t.Context(), "team-a", "acme"); !errors.Is(err, errBucket) {
			t.Fatal(err)
		}
		b.bucket.during(nil)
		if changed, err := b.ResumeConnector(t.Context(), "team-a", "acme"); changed || err != nil {
			t.Errorf("the same again: %t, %v", changed, err)
		}
		b.lose(t)
		b.wantPause(t, "a resume that was repeated", "")
	})
}

func TestALateWriterUndoesNoLaterPauseAndNoLaterResume(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		other := b.otherProcess(t)
		for _, tt := range []struct {
			late, after func(*ledger.Ledger) (bool, error)
			want        string
		}{
			{
				func(l *ledger.Ledger) (bool, error) { return l.PauseConnector(t.Context(), "team-a", "acme", "late") },
				func(l *ledger.Ledger) (bool, error) { return l.ResumeConnector(t.Context(), "team-a", "acme") },
				"",
			},
			{
				func(l *ledger.Ledger) (bool, error) { return l.PauseConnector(t.Context(), "team-a", "acme", "first") },
				func(*ledger.Ledger) (bool, error) { return false, nil },
				"first",
			},
			{
				func(l *ledger.Ledger) (bool, error) { return l.ResumeConnector(t.Context(), "team-a", "acme") },
				func(l *ledger.Ledger) (bool, error) { return l.PauseConnector(t.Context(), "team-a", "acme", "second") },
				"second",
			},
		} {
			var once atomic.Bool
			b.bucket.during(func(call string) error { // somebody else is faster, from the change in Redis to our bucket
				if strings.HasPrefix(call, "put ") && once.CompareAndSwap(false, true) {
					if _, err := tt.after(other); err != nil {
						t.Error(err)
					}
				}
				return nil
			})
			if _, err := tt.late(b.Ledger); err != nil || !once.Load() {
				t.Fatal(err)
			}
			b.bucket.during(nil)
			b.wantPause(t, "in Redis", tt.want)
			b.lose(t)
			b.wantPause(t, "after Redis was lost", tt.want)
		}
	})
}

func TestADestinationThatWasPausedInPartIsPausedEverywhere(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		died := errors.New("the process died")
		pausing := func(pause func(l *ledger.Ledger) (bool, error)) {
			t.Helper()
			var slots atomic.Int32
			rdb := b.another(t)
			rdb.AddHook(beforeCommand(func(c redis.Cmder) error {
				if strings.HasPrefix(c.Name(), "eval") && slots.Add(1) > 20 {
					return died
				}
				return nil
			}))
			if _, err := pause(ledger.New(rdb, b.bucket.Store, nil, ledger.Options{})); !errors.Is(err, died) {
				t.Fatalf("got %v", err)
			}
			if err := b.otherProcess(t).MirrorPauses(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		paused := func() (n int) {
			for slot := range waybill.Slots {
				n += int(b.rdb.HLen(t.Context(), fmt.Sprintf("wb:{s%02d}:pz", slot)).Val())
			}
			return n
		}
		pausing(func(l *ledger.Ledger) (bool, error) {
			return l.PauseDestination(t.Context(), "s3/eu-central-1", "the region is down")
		})
		if n := paused(); n != waybill.Slots {
			t.Errorf("paused in %d slots, want %d", n, waybill.Slots)
		}
		pausing(func(l *ledger.Ledger) (bool, error) { return l.ResumeDestination(t.Context(), "s3/eu-central-1") })
		if n := paused(); n != 0 {
			t.Errorf("resumed, and paused still in %d slots", n)
		}
	})
}

func TestADestinationGoesOnThoughItsPauseWasSlow(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		var slots atomic.Int32
		rdb := b.another(t)
		rdb.AddHook(beforeCommand(func(c redis.Cmder) error {
			if c.Name() == "evalsha" && slots.Add(1) == 20 {
				_, err := b.ResumeDestination(t.Context(), "s3")
				return err
			}
			return nil
		}))
		if _, err := ledger.New(rdb, b.bucket.Store, nil, ledger.Options{}).PauseDestination(t.Context(), "s3", "late"); err != nil {
			t.Fatal(err)
		}
		if p, err := b.DestinationPauses(t.Context()); err != nil || len(p) > 0 {
			t.Errorf("paused still: %v, %v", p, err)
		}
		b.lose(t)
		if p, err := b.DestinationPauses(t.Context()); err != nil || len(p) > 0 {
			t.Errorf("after Redis was lost: %v, %v", p, err)
		}
	})
}

func TestAPauseStandsThoughRedisClockWasSetBack(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		if _, err := b.PauseConnector(t.Context(), "team-a", "acme", "before"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ResumeConnector(t.Context(), "team-a", "acme"); err != nil {
			t.Fatal(err)
		}
		// A clock that was 70 s ahead until now.
		ahead := time.Now().Add(70 * time.Second).UnixMilli()
		if err := b.rdb.HSet(t.Context(), fmt.Sprintf("wb:{s%02d}:turned", waybill.Slot("team-a")), "connector/acme", ahead).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ResumeConnector(t.Context(), "team-a", "acme"); err != nil { // has our bucket know that time
			t.Fatal(err)
		}
		b.lose(t)
		if _, err := b.PauseConnector(t.Context(), "team-a", "acme", "after"); err != nil {
			t.Fatal(err)
		}
		b.lose(t)
		b.wantPause(t, "after Redis was lost", "after")
	})
}
