// Package convert measures the converter against DuckDB, which people would
// reach for: the same work, files, threads and machine, in turns. It is no
// test: it fails on faults, never on figures. Run it with: make bench-convert
package convert

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/bench/data"
	"github.com/waybillhq/waybill/formats"
)

var (
	size   = flag.String("size", "", "of the input: 1GB, 100MB; empty: nothing is measured")
	rounds = flag.Int("rounds", 5, "how often each side is measured, in turns")
	only   = flag.String("only", "", "a regular expression: the works to measure")
	inC    = flag.Bool("libzstd", false, "with zstd in C, which needs cgo, in place of the one in Go")
	large  = flag.String("large", "", "size of a run that is generated on the fly, for its memory: 20GB")
)

// work is a line of the table.
type work struct {
	name    string
	set     data.Set
	formats []formats.Format
	cores   int
	table   bool // the peer reads into a table first
}

func works() []work {
	three := []formats.Format{formats.Parquet, formats.JSONL, formats.CSV}
	parquet := []formats.Format{formats.Parquet}
	return []work{
		{"three formats", data.Products(), three, 2, false},
		{"three formats, peer by a table", data.Products(), three, 2, true},
		{"three formats, 60 columns", data.Wide(), three, 2, false},
		{"three formats, 8 KB bodies", data.Articles(), three, 2, false},
		{"three formats, one core", data.Products(), three, 1, false},
		{"Parquet", data.Products(), parquet, 2, false},
		{"Parquet, 60 columns", data.Wide(), parquet, 2, false},
		{"Parquet, 8 KB bodies", data.Articles(), parquet, 2, false},
		{"Parquet, one core", data.Products(), parquet, 1, false},
	}
}

// figures are what one turn took.
type figures struct {
	wall, cpu time.Duration
	rss       int64 // bytes, at its peak
	parquet   int64 // bytes of the file
}

func (f figures) String() string {
	return fmt.Sprintf("%6.2f s, %6.2f s CPU, %4d MB, Parquet %.1f MB", f.wall.Seconds(), f.cpu.Seconds(), f.rss>>20, float64(f.parquet)/1e6)
}

// BenchmarkConvert prints each round and, of the rounds, the median ratios.
func BenchmarkConvert(b *testing.B) {
	if *size == "" {
		b.Skip("without -size nothing is measured; run: make bench-convert")
	}
	bytes, err := data.ParseSize(*size)
	if err != nil {
		b.Fatalf("-size: %v", err)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		b.Fatalf("-only: %v", err)
	}
	program := build(b, "../../cmd/waybill")
	var table []string
	for _, w := range works() {
		if wanted.MatchString(w.name) {
			table = append(table, w.measure(b, program, bytes))
		}
	}
	fmt.Printf("\n%-32s %8s %8s %8s %8s\n%s\n", "peer / waybill, medians of "+fmt.Sprint(*rounds), "wall", "CPU", "memory", "Parquet", strings.Join(table, "\n"))
}

// build builds a program as it is shipped, without cgo, unless zstd is to be in C.
func build(b *testing.B, folder string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "program")
	cgo, tags := "0", ""
	if *inC {
		cgo, tags = "1", "libzstd"
	}
	cmd := exec.CommandContext(b.Context(), "go", "build", "-tags", tags, "-o", program, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", folder, err, out)
	}
	return program
}

// measure runs both sides in turns, so that whatever else the machine does
// hits both, and returns the line of the table.
func (w work) measure(b *testing.B, program string, bytes int64) string {
	b.Helper()
	in, err := w.set.Cached(bytes)
	if err != nil {
		b.Fatal(err)
	}
	warm(b, in)
	dir := b.TempDir()
	schema := filepath.Join(dir, "run.json")
	if err := writeRun(schema, w.set.Schema); err != nil {
		b.Fatal(err)
	}
	var peers, ours []figures
	fmt.Printf("\n%s: %s of %s, %d threads, seed %d\n", w.name, *size, w.set.Name, w.cores, data.Seed)
	for range *rounds {
		peers = append(peers, w.peer(b, in, filepath.Join(dir, "out")))
		ours = append(ours, w.ours(b, program, schema, in, filepath.Join(dir, "out")))
		fmt.Printf("  duckdb  %s\n  waybill %s\n", peers[len(peers)-1], ours[len(ours)-1])
	}
	ratio := func(of func(figures) float64) float64 {
		var ratios []float64
		for i := range peers {
			ratios = append(ratios, of(peers[i])/of(ours[i]))
		}
		return median(ratios)
	}
	return fmt.Sprintf("%-32s %7.2fx %7.2fx %7.2fx %7.2fx", w.name,
		ratio(func(f figures) float64 { return f.wall.Seconds() }), ratio(func(f figures) float64 { return f.cpu.Seconds() }),
		ratio(func(f figures) float64 { return float64(f.rss) }), ratio(func(f figures) float64 { return float64(f.parquet) }))
}

func median[T cmp.Ordered](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// warm reads a file into the page cache.
func warm(b *testing.B, path string) {
	b.Helper()
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if _, err := io.Copy(io.Discard, file); err != nil {
		b.Fatal(err)
	}
}

func writeRun(path string, schema waybill.Schema) error {
	text, err := json.Marshal(waybill.Run{
		RunKey: waybill.RunKey{TeamID: "team-a", WorkflowID: "wf_bench", JobID: "job"}, State: waybill.RunFinished,
		FinishedAt: time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC), Schema: schema, Source: waybill.Source{URI: "records.jsonl", Format: "jsonl"},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// peer runs DuckDB in this very program: see TestMain.
func (w work) peer(b *testing.B, in, out string) figures {
	b.Helper()
	job, err := json.Marshal(peerJob{in, out, w.set.Schema, w.formats, w.cores, w.table})
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), peerVariable+"="+string(job))
	return turn(b, cmd, out)
}

func (w work) ours(b *testing.B, program, schema, in, out string) figures {
	b.Helper()
	var names []string
	for _, f := range w.formats {
		names = append(names, string(f))
	}
	cmd := exec.CommandContext(b.Context(), program, "convert", "--schema", schema, "--in", in, "--out", out,
		"--formats", strings.Join(names, ","), "--cpus", fmt.Sprint(w.cores))
	return turn(b, cmd, out)
}

// turn runs one process that writes to an empty folder.
func turn(b *testing.B, cmd *exec.Cmd, out string) (f figures) {
	b.Helper()
	if err := os.MkdirAll(out, 0o755); err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, text)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	f.wall, f.cpu, f.rss = time.Since(started), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), usage.Maxrss<<10
	info, err := os.Stat(filepath.Join(out, formats.Parquet.FileName()))
	if err != nil {
		b.Fatal(err)
	}
	f.parquet = info.Size()
	if err := os.RemoveAll(out); err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkMemory converts to uploads of all three formats at once, from runs
// of several sizes, and prints the peak memory of each and what it allocates.
func BenchmarkMemory(b *testing.B) {
	if *large == "" {
		b.Skip("without -large nothing is measured; run: make bench-large")
	}
	most, err := data.ParseSize(*large)
	if err != nil {
		b.Fatalf("-large: %v", err)
	}
	program := build(b, "./streaming")
	for bytes := int64(1e9); ; bytes = min(bytes*10, most) {
		out, err := exec.CommandContext(b.Context(), program, "-size", fmt.Sprint(bytes)).CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		fmt.Print(string(out))
		if bytes == most {
			return
		}
	}
}
