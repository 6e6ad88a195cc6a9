// Package snowflake measures how long a run takes until its customer sees it in
// Snowflake, beyond the conversion and the upload of its file: by the very
// handlers of the fleet, on the test server, with a latency of each statement
// as a real account has one. It is no test: it fails on faults, never on
// figures. Run it with: make bench-snowflake.
package snowflake

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/connectors"
	fakes "github.com/waybillhq/waybill/internal/fakes/snowflake"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
	account "github.com/waybillhq/waybill/warehouses/snowflake"
)

var (
	latency = flag.Duration("latency", 0, "of each statement; 0: nothing is measured")
	rounds  = flag.Int("rounds", 10, "deliveries that are measured")
)

const (
	records = "../../cmd/sandbox/testdata/runs/earthquakes-1.jsonl"
	runFile = "../../cmd/sandbox/testdata/runs/earthquakes-1.run.json"
)

// BenchmarkPublication prints the median of the seconds between a run's file
// being staged and its being published, and what of them is the statements' latency.
func BenchmarkPublication(b *testing.B) {
	if *latency == 0 {
		b.Skip("without -latency nothing is measured; run: make bench-snowflake")
	}
	m := newMeasure(b)
	m.deliver(b, 0) // makes the schema version
	m.server.SetLatency(*latency)
	for b.Loop() {
		var beyond []time.Duration
		m.server.Forget()
		for n := range *rounds {
			beyond = append(beyond, m.deliver(b, n+1))
		}
		slices.Sort(beyond)
		median, statements := beyond[len(beyond)/2], len(m.server.Statements()) / *rounds
		floor := time.Duration(statements) * *latency
		fmt.Printf("beyond the upload: %.2f s (median of %d; worst %.2f s; at most 1.5 s are allowed)\n", median.Seconds(), *rounds, beyond[len(beyond)-1].Seconds())
		fmt.Printf("%d statements a delivery, the sweep after it included, take %.2f s of latency alone: ratio %.2f\n", statements, floor.Seconds(), median.Seconds()/floor.Seconds())
	}
}

// measure is a fleet's handlers, and a customer's connector.
type measure struct {
	*handlers.Handlers
	server *fakes.Server
	last   ledger.Ready
	run    waybill.Run
}

// Enqueue implements [ledger.Queue].
func (m *measure) Enqueue(_ context.Context, ready []ledger.Ready) error {
	m.last = ready[len(ready)-1]
	return nil
}

func newMeasure(b *testing.B) *measure {
	m := &measure{}
	ingest := b.TempDir()
	m.server = fakes.Start(b, fakes.Options{Locations: map[string]fakes.Objects{"s3://ingest/": fakes.Folder(ingest)}})
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(b, err)
	provider := m.server.AddAccount(fakes.Account{Org: "OURORG", Name: "PROVIDER", Edition: fakes.Enterprise})
	provider.AddUser("WAYBILL", "WAYBILL", &key.PublicKey)
	provider.Grant("WAYBILL", fakes.LoaderPrivileges()...)
	provider.AddWarehouse("DELIVERY")
	provider.AddIntegration("WAYBILL_S3", "s3://ingest/")
	m.server.AddAccount(fakes.Account{Org: "ACMEORG", Name: "PROD_ANALYTICS", Edition: fakes.Enterprise})
	ours, err := account.Open(account.Config{Account: "OURORG-PROVIDER", User: "WAYBILL", Role: "WAYBILL", Warehouse: "DELIVERY",
		PrivateKey: func(context.Context) (string, error) {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
		},
		Stage: account.Stage{Integration: "WAYBILL_S3", URL: "s3://ingest/"}, Endpoint: fmt.Sprintf("%s:%d", m.server.Host, m.server.Port)})
	must(b, err)
	b.Cleanup(func() { _ = ours.Close() })

	file, err := os.Open(runFile)
	must(b, err)
	m.run, err = waybill.DecodeRun(file)
	must(b, err)
	c := connectors.Connector{ID: "acme", Team: m.run.TeamID, Kind: waybill.KindSnowflake,
		Snowflake: &connectors.Snowflake{Organization: "ACMEORG", Account: "PROD_ANALYTICS", Region: "us-east-1"}}
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(b).Addr()})
	b.Cleanup(func() { _ = rdb.Close() })
	own, err := storage.OpenFolder(b.TempDir())
	must(b, err)
	m.Handlers = &handlers.Handlers{
		Ledger:    ledger.New(rdb, own, m, ledger.Options{}),
		Connector: func(context.Context, string) (connectors.Connector, error) { return c, nil },
		Snowflake: ours,
		Ingest: func(_ context.Context, d *account.Destination) (storage.Store, error) {
			dir := ingest + "/" + d.Database
			return storage.OpenFolder(dir)
		},
		Source: func(context.Context, string, waybill.Source, string) (handlers.Records, error) {
			f, err := os.Open(records)
			return source{f}, err
		},
		Brand: "kadoa",
		Log:   slog.New(slog.DiscardHandler),
	}
	must(b, os.Mkdir(ingest+"/KADOA_ACME", 0o755))
	return m
}

type source struct{ io.ReadCloser }

func (source) ETag() string { return "v1" }

// deliver delivers the nth run and returns how long that took but for its staging.
func (m *measure) deliver(b *testing.B, n int) time.Duration {
	run := m.run
	run.JobID, run.FinishedAt = fmt.Sprintf("job-%03d", n), run.FinishedAt.Add(time.Duration(n)*time.Hour)
	a, err := m.Ledger.Accept(b.Context(), run)
	must(b, err)
	must(b, m.Ledger.Plan(b.Context(), a, []ledger.Planned{{Task: tasks.SnowflakeLoad.Name, Queue: tasks.QueueSnowflake, Connector: ledger.Connector{
		ID: "acme", Team: run.TeamID, Kind: waybill.KindSnowflake, Live: tasks.QueueSnowflake, MaxInFlight: 4, Ordered: true}}}))
	m.Ledger.Wait()
	ref := func() tasks.DeliveryRef {
		return tasks.DeliveryRef{Delivery: m.last.Delivery, Generation: m.last.Generation, Enqueue: m.last.Enqueue}
	}
	started := time.Now()
	must(b, m.SnowflakeLoad(b.Context(), ref()))
	must(b, m.SnowflakePublish(b.Context(), ref()))
	d, err := m.Ledger.Delivery(b.Context(), m.last.Delivery)
	must(b, err)
	receipt, err := m.Ledger.Receipt(b.Context(), d)
	must(b, err)
	events, err := m.Ledger.History(b.Context(), d.ID)
	must(b, err)
	took := receipt.CompletedAt.Sub(started)
	for _, e := range events {
		if e.What == "step" && e.Stage == waybill.StageStage {
			took -= e.Duration
		}
	}
	return took
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
