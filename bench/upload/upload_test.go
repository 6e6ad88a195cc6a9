// Package upload measures what it costs that a run goes to an object store: a
// delivery of three formats, by the very handler of the fleet, against `waybill
// convert` to files on the same disk. It is no test: it fails on faults, never
// on figures. Run it with: make bench-upload, or SIZE=100MB make bench-upload.
package upload

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/connectors"
	"github.com/waybillhq/waybill/internal/ledger"
	"github.com/waybillhq/waybill/internal/source"
	"github.com/waybillhq/waybill/internal/testservers"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/tasks"
)

var (
	size   = flag.String("size", "", "of the run, in bytes: 1GB, 100MB, 64MiB; empty: nothing is measured")
	rounds = flag.Int("rounds", 5, "how often each of the two is measured, in turns")
	md5    = flag.Bool("gateway-md5", false, "let the gateway make its ETags of MD5 sums")
)

const bucketName = "customer"

// BenchmarkUpload prints each round, and the median of the rounds' ratios.
func BenchmarkUpload(b *testing.B) {
	if *size == "" {
		b.Skip("without -size nothing is measured; run: make bench-upload")
	}
	bytes, err := parseSize(*size)
	if err != nil {
		b.Fatalf("-size: %v", err)
	}
	m := measure{dir: b.TempDir()}
	m.prepare(b, bytes)
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // as cmd/waybill has it
	for b.Loop() {
		m.run(b)
	}
}

func parseSize(text string) (int64, error) {
	for suffix, unit := range map[string]int64{"GB": 1e9, "MB": 1e6} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			var n int64
			_, err := fmt.Sscan(digits, &n)
			return n * unit, err
		}
	}
	var n config.Bytes
	err := n.UnmarshalText([]byte(text))
	return int64(n), err
}

// measure is a run on disk, and the two ways it goes.
type measure struct {
	dir, program string
	input        string
	bytes        int64
	work         waybill.Run
	gateway      *testservers.S3Server
	store        *storage.S3
}

// figures are what one turn took.
type figures struct {
	wall, cpu, gateway time.Duration
	written            int64
}

func (m *measure) prepare(b *testing.B, bytes int64) {
	b.Helper()
	m.input = filepath.Join(m.dir, "records.jsonl")
	rows, written, err := generate(m.input, bytes)
	if err != nil {
		b.Fatal(err)
	}
	m.bytes = written
	m.work = waybill.Run{
		RunKey: waybill.RunKey{TeamID: "team-a", WorkflowID: "wf_products", JobID: "job"}, State: waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC), RowCount: rows, Schema: productSchema(),
		Source: waybill.Source{URI: "file://" + m.input, Format: "jsonl"},
	}
	if err := writeRun(filepath.Join(m.dir, "run.json"), m.work); err != nil {
		b.Fatal(err)
	}
	m.program = filepath.Join(m.dir, "waybill")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", m.program, "../../cmd/waybill")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build waybill: %v\n%s", err, out)
	}
	m.startGateway(b)
	m.store, err = storage.NewS3(b.Context(), storage.S3Options{Bucket: bucketName, Region: m.gateway.Region, Endpoint: m.gateway.Endpoint, PathStyle: true,
		Keys: func(context.Context) (storage.Keys, error) {
			return storage.Keys{AccessKeyID: m.gateway.AccessKey, SecretAccessKey: m.gateway.SecretKey}, nil
		}})
	if err != nil {
		b.Fatal(err)
	}
	m.gateway.Stop()
	fmt.Printf("%d records, %.1f MB, seed %d; Parquet, JSONL and CSV\n", rows, mega(m.bytes), seed)
}

// startGateway starts a gateway that speaks TLS, as customers' stores do. What
// it makes its ETags of is its own affair. MD5, its default, is left out unless
// asked for; a CRC-64 of its parts, which is there instead, takes a third less.
func (m *measure) startGateway(b *testing.B) {
	b.Helper()
	var args []string
	if !*md5 {
		args = append(args, "--data-integrity-etag")
	}
	var certificates testservers.Certificates
	m.gateway, certificates = testservers.S3TLS(b, args...)
	b.Setenv("SSL_CERT_FILE", certificates.CAFile)
	m.gateway.Bucket(b, bucketName)
}

// run measures in turns, so that whatever else the machine does hits both.
func (m *measure) run(b *testing.B) {
	b.Helper()
	var speed, work, alone, wall, gateway []float64
	for range *rounds {
		disk, upload := m.convert(b), m.deliver(b)
		m.print("waybill convert", disk)
		m.print("delivery", upload)
		speed = append(speed, disk.wall.Seconds()/upload.wall.Seconds())
		work = append(work, (upload.cpu+upload.gateway).Seconds()/disk.cpu.Seconds())
		alone = append(alone, disk.cpu.Seconds()/upload.cpu.Seconds())
		wall, gateway = append(wall, upload.wall.Seconds()), append(gateway, upload.gateway.Seconds())
	}
	fmt.Printf("medians of %d rounds: the delivery has %.2fx (%.2f to %.2f) the throughput of waybill convert; with the gateway it takes %.2fx the CPU time\n",
		*rounds, median(speed), slices.Min(speed), slices.Max(speed), median(work))
	fmt.Printf("with the gateway on other cores it would be %.2fx, by CPU time\n", median(alone))
	b.ReportMetric(median(speed), "x-of-convert")
	b.ReportMetric(mega(m.bytes)/median(wall), "MB/s")
	b.ReportMetric(median(gateway), "gateway-cpu-s")
}

func (m *measure) print(what string, f figures) {
	gateway := ""
	if f.gateway > 0 {
		gateway = fmt.Sprintf(", %.2f s of the gateway's", f.gateway.Seconds())
	}
	fmt.Printf("%-15s %6.2f s %7.1f MB/s, %6.2f s CPU%s; %.1f MB written\n",
		what, f.wall.Seconds(), mega(m.bytes)/f.wall.Seconds(), f.cpu.Seconds(), gateway, mega(f.written))
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

func median(list []float64) float64 {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// convert runs the command, into a folder beside the gateway's.
func (m *measure) convert(b *testing.B) (f figures) {
	b.Helper()
	out := filepath.Join(m.dir, "out")
	cmd := exec.CommandContext(b.Context(), m.program, "convert", "--schema", filepath.Join(m.dir, "run.json"), "--in", m.input, "--out", out)
	started := time.Now()
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("waybill convert: %v\n%s", err, text)
	}
	f.wall, f.cpu = time.Since(started), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	entries, err := os.ReadDir(out)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			b.Fatal(err)
		}
		f.written += info.Size()
	}
	if err := os.RemoveAll(out); err != nil {
		b.Fatal(err)
	}
	return f
}

// deliver lets the fleet's handler deliver the run: convert, upload, read back
// what the store says of each file, and write the manifest. The gateway is a
// process of its own for each turn, whose CPU time is known when it has ended.
func (m *measure) deliver(b *testing.B) (f figures) {
	b.Helper()
	m.gateway.Start(b)
	deliver := m.delivery(b)
	before, started := cpu(b, syscall.RUSAGE_SELF), time.Now()
	receipt := deliver()
	f.wall, f.cpu, f.written = time.Since(started), cpu(b, syscall.RUSAGE_SELF)-before, receipt.Bytes

	before = cpu(b, syscall.RUSAGE_CHILDREN)
	m.gateway.Stop()
	f.gateway = cpu(b, syscall.RUSAGE_CHILDREN) - before
	m.gateway.Start(b)
	for o, err := range m.store.List(b.Context(), "") {
		if err == nil {
			err = m.store.Delete(b.Context(), o.Key)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	m.gateway.Stop()
	return f
}

func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// queue keeps the task that was enqueued.
type queue struct{ last ledger.Ready }

func (q *queue) Enqueue(_ context.Context, ready []ledger.Ready) error {
	q.last = ready[len(ready)-1]
	return nil
}

// delivery plans the run in a ledger of its own, and returns what delivers it.
func (m *measure) delivery(b *testing.B) func() waybill.Receipt {
	b.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(b).Addr()})
	b.Cleanup(func() { _ = rdb.Close() })
	own, err := storage.OpenFolder(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = own.Close() })
	q := &queue{}
	connector := connectors.Connector{ID: "lake", Team: m.work.TeamID, Kind: waybill.KindStorage,
		Storage: &connectors.Storage{URL: m.store.URL(), Formats: []string{"parquet", "jsonl", "csv"}}}
	h := &handlers.Handlers{
		Ledger:    ledger.New(rdb, own, q, ledger.Options{}),
		Connector: func(context.Context, string) (connectors.Connector, error) { return connector, nil },
		Store:     func(context.Context, connectors.Connector) (storage.Store, error) { return m.store, nil },
		Source: func(ctx context.Context, team string, s waybill.Source, pin string) (handlers.Records, error) {
			return source.Opener{FileRoot: m.dir}.Open(ctx, team, s, pin)
		},
		Brand: "kadoa", Log: slog.New(slog.DiscardHandler),
	}
	accepted, err := h.Ledger.Accept(b.Context(), m.work)
	if err != nil {
		b.Fatal(err)
	}
	planned := []ledger.Planned{{Task: tasks.ExportPush.Name, Queue: tasks.QueueExport, Connector: ledger.Connector{
		ID: connector.ID, Team: connector.Team, Kind: connector.Kind, Live: tasks.QueueExport, MaxInFlight: 1}}}
	if err := h.Ledger.Plan(b.Context(), accepted, planned); err != nil {
		b.Fatal(err)
	}
	h.Ledger.Wait()
	ref := tasks.DeliveryRef{Delivery: q.last.Delivery, Generation: q.last.Generation, Enqueue: q.last.Enqueue}
	return func() waybill.Receipt {
		if err := h.ExportPush(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
		d, err := h.Ledger.Delivery(b.Context(), ref.Delivery)
		if err != nil {
			b.Fatal(err)
		}
		receipt, err := h.Ledger.Receipt(b.Context(), d)
		if err != nil || receipt.Rows != m.work.RowCount {
			b.Fatalf("%d rows arrived, want %d: %v", receipt.Rows, m.work.RowCount, err)
		}
		return receipt
	}
}
