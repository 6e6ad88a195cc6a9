package delta

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The guarantee: a reader that opened a version goes on reading that version,
// whole, while the table is overwritten and swept again and again: for as long
// as removed files are kept.
func TestAReaderDuringOverwritesAndSweepsSeesAWholeVersion(t *testing.T) {
	const versions, perVersion = 40, 5
	// Each look at the clock is a second: what was removed some versions ago is
	// swept meanwhile.
	var looks atomic.Int64
	begun := time.Now()
	options := Options{Now: func() time.Time { return begun.Add(time.Duration(looks.Add(1)) * time.Second) }, NewID: numbered(), FileRetention: 10 * time.Second, CheckpointEvery: 5}
	store := folder(t)
	table := Open(store, "v1", options)
	must[Committed](t)(table.Create(t.Context(), cities()))
	overwrite := func(n int) {
		l := Load{Delivery: fmt.Sprintf("d%d", n), Generation: 1, Fence: int64(n), JobID: fmt.Sprint(n)}
		records := make([]string, perVersion)
		for i := range records {
			records[i] = fmt.Sprintf(`{"city":"%d","people":%d}`, n, i)
		}
		must[Committed](t)(table.Overwrite(t.Context(), cities(), l.put(t, table, citySchema, records...)))
	}
	overwrite(1)

	done, reads := make(chan struct{}), make(chan error, versions)
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			other := Open(store, "v1", options)
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := wholeVersion(t, other, perVersion); err != nil {
					reads <- err
					return
				}
			}
		})
	}
	swept := 0
	for n := 2; n <= versions; n++ {
		overwrite(n)
		swept += must[int](t)(table.Vacuum(t.Context()))
	}
	close(done)
	readers.Wait()
	close(reads)
	for err := range reads {
		t.Error(err)
	}
	if swept == 0 {
		t.Error("nothing was swept while it was read")
	}
}

// wholeVersion reads the newest version, and says what is wrong with it.
func wholeVersion(t *testing.T, table *Table, rows int) error {
	s, err := table.Snapshot(t.Context())
	if err != nil {
		return err
	}
	read, err := table.Rows(t.Context(), s)
	if errors.Is(err, ErrMissingFile) {
		if late, err := table.Snapshot(t.Context()); err == nil && late.Version > s.Version+1 {
			return nil // it was slower than the retention
		}
	}
	if err != nil {
		return err
	}
	for _, r := range read {
		if r["CITY"] != read[0]["CITY"] {
			return fmt.Errorf("version %d has rows of %v and of %v", s.Version, r["CITY"], read[0]["CITY"])
		}
	}
	if len(read) != rows {
		return fmt.Errorf("version %d has %d rows, want %d", s.Version, len(read), rows)
	}
	return nil
}
