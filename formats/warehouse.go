package formats

import (
	"time"

	"github.com/apache/arrow-go/v18/parquet"

	"github.com/waybillhq/waybill"
)

// WarehouseColumns makes of a run's Parquet rows of a warehouse's table: the
// columns of [waybill.Schema.Columns], of which the last two say in every row
// which job it came with and when that finished.
type WarehouseColumns struct {
	Brand      string
	JobID      string
	FinishedAt time.Time
}

// name gives the layout's columns their names in the warehouse, and adds the
// two that are the same in every row.
func (w *WarehouseColumns) name(l *layout, s waybill.Schema) {
	columns := s.Columns(w.Brand)
	for i := range l.columns {
		l.columns[i].name = columns[i].Name
	}
	system := columns[len(l.columns):]
	l.columns = append(l.columns, columnSpec{system[0].Name, castText}, columnSpec{system[1].Name, castDateTime})
	l.run = &runCells{job: parquet.ByteArray(w.JobID), finished: w.FinishedAt.UnixMicro()}
}

// runCells are the values of the last two columns, in every row.
type runCells struct {
	job      parquet.ByteArray
	finished int64
}

// runCells emits them.
func (e *emitter) runCells(run *runCells) {
	at := len(e.layout.columns) - 2
	if c, ok := e.value(at, 4+len(run.job)); ok {
		c.text = append(c.text, run.job)
	}
	if c, ok := e.value(at+1, 8); ok {
		c.micros = append(c.micros, run.finished)
	}
}
