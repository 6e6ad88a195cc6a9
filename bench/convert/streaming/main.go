// Command streaming converts records that it makes on the fly to three formats
// at once, as a delivery does: each goes through a pipe to an upload that
// gathers parts of 8 MiB, four of them in memory. It prints its peak memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/waybillhq/waybill/bench/data"
	"github.com/waybillhq/waybill/formats"
)

func main() {
	debug.SetGCPercent(25) // as cmd/waybill has it
	size := flag.Int64("size", 1e9, "bytes of the input")
	name := flag.String("set", "products", "what the records are: products, wide or articles")
	flag.Parse()
	for _, set := range data.All() {
		if set.Name != *name {
			continue
		}
		if err := run(set, *size); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func run(set data.Set, size int64) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	started := time.Now()
	var uploads sync.WaitGroup
	outputs := map[formats.Format]formats.Output{}
	for _, f := range []formats.Format{formats.Parquet, formats.JSONL, formats.CSV} {
		r, w := io.Pipe()
		uploads.Go(func() { upload(r) })
		outputs[f] = func(int) (io.WriteCloser, error) { return w, nil }
	}
	result, err := formats.Convert(context.Background(), set.Reader(size), outputs, formats.Options{Schema: set.Schema})
	if err != nil {
		return err
	}
	uploads.Wait()
	runtime.ReadMemStats(&after)
	peak, err := peakMemory()
	fmt.Printf("%5.1f GB of %s, %d records: peak %s, %.3f allocations a record, %.0f s\n", float64(size)/1e9, set.Name, result.Rows, peak,
		float64(after.Mallocs-before.Mallocs)/float64(result.Rows), time.Since(started).Seconds())
	return err
}

// upload is what an upload in parts does with memory and CPU: parts are filled,
// and sent with their checksum by others.
func upload(r *io.PipeReader) {
	const partBytes, inFlight = 8 << 20, 4
	free, full := make(chan []byte, inFlight), make(chan []byte, inFlight)
	for range inFlight {
		free <- make([]byte, partBytes)
	}
	var senders sync.WaitGroup
	for range inFlight - 1 {
		senders.Go(func() {
			for part := range full {
				_ = crc32.ChecksumIEEE(part)
				free <- part[:cap(part)]
			}
		})
	}
	for {
		part := <-free
		n, err := io.ReadFull(r, part)
		full <- part[:n]
		if err != nil {
			break
		}
	}
	close(full)
	senders.Wait()
}

// peakMemory is the largest resident set that the kernel saw of this process:
// https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
func peakMemory() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int64
			_, err := fmt.Sscan(value, &kib)
			return fmt.Sprintf("%d MiB", kib>>10), err
		}
	}
	return "unknown", nil
}
