package delta_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/storage"
	"github.com/waybillhq/waybill/warehouses/delta"
)

// A run's records become rows of its workflow's table. Doing it again changes
// nothing; the next generation takes the place of the first.
func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "delta")
	defer os.RemoveAll(dir)
	store, err := storage.OpenFolder(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	schema := waybill.Schema{Fields: []waybill.Field{{Name: "city", DataType: waybill.String}}}
	table := delta.Open(store, waybill.VersionTable("wf_cities", 1), delta.Options{})
	if _, err := table.Create(ctx, delta.Definition{Name: waybill.VersionTable("wf_cities", 1), Columns: schema.Columns("kadoa")}); err != nil {
		fmt.Println(err)
		return
	}
	publish := func(generation int, fence int64, records string) {
		load := delta.Load{Delivery: "d0100", Generation: generation, Fence: fence, JobID: "job-1"}
		name := delta.FileName(load.Delivery, generation, fence, 0)
		var file bytes.Buffer
		_, err := formats.Convert(ctx, strings.NewReader(records), map[formats.Format]formats.Output{formats.Parquet: formats.To(&file)},
			formats.Options{Schema: schema, Warehouse: &formats.WarehouseColumns{Brand: "kadoa", JobID: load.JobID, FinishedAt: time.Unix(1740825000, 0)}})
		if err == nil {
			_, err = store.Put(ctx, waybill.VersionTable("wf_cities", 1)+"/"+name, &file, storage.PutOptions{})
		}
		if err == nil {
			load.Files = make([]delta.DataFile, 1)
			load.Files[0], err = table.Describe(ctx, name, schema.Columns("kadoa"))
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		done, err := table.Replace(ctx, load)
		if err != nil {
			fmt.Println(err)
			return
		}
		rows, _ := done.Rows()
		fmt.Printf("generation %d: version %d, changed %t, %d rows\n", generation, done.Version, done.Changed, rows)
	}
	publish(1, 100, `{"city":"Rome"}`+"\n"+`{"city":"Oslo"}`)
	publish(1, 101, `{"city":"Rome"}`+"\n"+`{"city":"Oslo"}`)
	publish(2, 102, `{"city":"Lima"}`)
	// Output:
	// generation 1: version 1, changed true, 2 rows
	// generation 1: version 1, changed false, 2 rows
	// generation 2: version 2, changed true, 1 rows
}
