package waybill

import "time"

// Receipt is what was delivered: the answer to "what arrived, when, and is it
// all of it". It is kept in our own bucket and outlives the ledger's history.
type Receipt struct {
	DeliveryID string `json:"deliveryId"`
	RunKey
	Connector     string     `json:"connector"`
	Kind          Kind       `json:"kind"`
	Generation    int        `json:"generation"`
	Fence         int64      `json:"fence"`
	Revision      string     `json:"revision"`
	SchemaVersion int        `json:"schemaVersion"`
	RunFinishedAt time.Time  `json:"runFinishedAt"`
	StartedAt     time.Time  `json:"startedAt"`          // of the attempt that completed it
	CompletedAt   time.Time  `json:"completedAt"`        //
	Location      string     `json:"location"`           // where it arrived: a URL, without credentials
	Replaces      string     `json:"replaces,omitempty"` // location of the generation before, if it is another
	SourceETag    string     `json:"sourceEtag,omitempty"`
	Rows          int64      `json:"rows"`
	Bytes         int64      `json:"bytes"` // sum of the files
	Files         []File     `json:"files"`
	Conversion    Conversion `json:"conversion"`
}

// File is one object at the destination.
type File struct {
	Name   string `json:"name"`             // below the location, e.g. data.parquet
	Format string `json:"format"`           // parquet, jsonl, csv or json
	Rows   int64  `json:"rows"`             //
	Bytes  int64  `json:"bytes"`            //
	SHA256 string `json:"sha256"`           // 64 hex digits
	CRC32C string `json:"crc32c,omitempty"` // 8 hex digits (Castagnoli), what object stores can read back
}

// Conversion is what happened to the records between source and destination.
// Rows + Quarantined is the number of records read.
type Conversion struct {
	Rows        int64        `json:"rows"`        // records written
	Quarantined int64        `json:"quarantined"` // malformed records, left out
	Fields      []FieldStats `json:"fields"`      // in descriptor order, internal fields left out

	UnknownFields int64          `json:"unknownFields"`          // values of top-level fields that the descriptor does not name
	UnknownNames  []FieldCount   `json:"unknownNames,omitempty"` // the first of their names, by first appearance
	DroppedFields []string       `json:"droppedFields,omitempty"`
	DuplicateKeys int64          `json:"duplicateKeys,omitempty"` // keys given twice in one record; the last value was taken
	InvalidUTF8   int64          `json:"invalidUtf8,omitempty"`   // records with bytes that are not UTF-8, quarantined
	FailedCasts   []FailedCast   `json:"failedCasts,omitempty"`   // the first of them; all are counted in Fields
	Quarantine    []Quarantining `json:"quarantine,omitempty"`    // the first of them; all are counted in Quarantined
}

// CastFailures is the sum over all fields.
func (c Conversion) CastFailures() (n int64) {
	for _, f := range c.Fields {
		n += f.CastFailures
	}
	return n
}

// FieldStats counts one field's values over all rows.
type FieldStats struct {
	Name         string `json:"name"`
	NonNull      int64  `json:"nonNull"`                // values in the typed column
	CastFailures int64  `json:"castFailures,omitempty"` // values that became NULL
	Inexact      int64  `json:"inexact,omitempty"`      // values the typed column holds only nearly
	AssumedUTC   int64  `json:"assumedUtc,omitempty"`   // times without a zone, read as UTC
	Guarded      int64  `json:"guarded,omitempty"`      // texts that the CSV has behind an apostrophe: they could be formulas
}

// FieldCount is a name and how often it was met.
type FieldCount struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// FailedCast is a value that did not fit its field's type and became NULL.
type FailedCast struct {
	Line   int64  `json:"line"` // line of a JSONL source, or record number of an array, from 1
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Quarantining is a record left out because it is malformed.
type Quarantining struct {
	Line   int64  `json:"line"` // as in FailedCast
	Reason string `json:"reason"`
}
