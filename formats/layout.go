package formats

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/waybillhq/waybill"
)

// layout is a schema made ready for the pipeline: the descriptor's fields, and
// the columns they become in Parquet and CSV.
type layout struct {
	fields  []field        // exported fields, in descriptor order
	dropped []string       // internal fields of the descriptor
	columns []columnSpec   // in order
	keys    [][]byte       // `"name":` of the exported fields, then of the dropped ones
	index   map[string]int // name → position in keys
	run     *runCells      // of a warehouse's table
}

type field struct {
	name    string
	cast    cast
	order   waybill.DateOrder
	column  int    // of its value; MONEY's currency is the next
	jsonKey []byte // `"name":`
}

type columnSpec struct {
	name string
	cast cast
}

func newLayout(s waybill.Schema) *layout {
	l := &layout{index: map[string]int{}}
	taken := map[string]bool{}
	for _, f := range s.Exported() {
		taken[f.Name] = true
	}
	for _, f := range s.Exported() {
		key := jsonKey(f.Name)
		l.index[f.Name] = len(l.keys)
		l.keys = append(l.keys, key)
		out := field{name: f.Name, cast: castOf(f.DataType), order: f.DateOrder, column: len(l.columns), jsonKey: key}
		l.fields = append(l.fields, out)
		l.columns = append(l.columns, columnSpec{f.Name, out.cast})
		if out.cast == castMoney {
			name := currencyColumn(f.Name, taken)
			taken[name] = true
			l.columns = append(l.columns, columnSpec{name, castText})
		}
	}
	for _, f := range s.Fields {
		if f.Internal() {
			l.dropped = append(l.dropped, f.Name)
			l.index[f.Name] = len(l.keys)
			l.keys = append(l.keys, jsonKey(f.Name))
		}
	}
	return l
}

// currencyColumn names the column of a MONEY field's currency: <name>_currency,
// or, where the descriptor itself has such a field, that with 8 hex digits.
func currencyColumn(name string, taken map[string]bool) string {
	column := name + "_currency"
	if taken[column] {
		sum := sha256.Sum256([]byte(name))
		column += "_" + hex.EncodeToString(sum[:4])
	}
	for taken[column] {
		column += "_"
	}
	return column
}

// jsonKey is a member's key and the colon behind it.
func jsonKey(name string) []byte { return append(jsonText(name), ':') }

func jsonText(s string) []byte {
	text, _ := json.Marshal(s) //nolint:errchkjson // a string always marshals
	return text
}

// maxRows bounds the rows of a batch, so that the cells of a wide schema do
// not take more memory than those of a narrow one. It depends on the schema
// alone: batches are cut alike on every machine.
func (l *layout) maxRows() int {
	const cells, most, least = 256 << 10, 8192, 64
	return min(most, max(least, cells/len(l.columns)))
}
