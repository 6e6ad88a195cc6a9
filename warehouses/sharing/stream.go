package sharing

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/waybillhq/waybill/warehouses/delta"
)

// format is how tables and files are told.
type format struct {
	delta bool // in Delta's own words; otherwise in those of the protocol's first version
	end   bool // the client asks for an endStreamAction
}

const capabilitiesHeader = "Delta-Sharing-Capabilities"

// capabilities reads what the client says it can do.
// https://github.com/delta-io/delta-sharing/blob/main/PROTOCOL.md#delta-sharing-capabilities-header
func (r *request) capabilities() (f format, err error) {
	for part := range strings.SplitSeq(r.Header.Get(capabilitiesHeader), ";") {
		name, value, _ := strings.Cut(part, "=")
		value = strings.ToLower(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "responseformat":
			known := map[string]bool{}
			for word := range strings.SplitSeq(value, ",") {
				known[strings.TrimSpace(word)] = true
			}
			// Tables have no feature that needs Delta's words: every client reads parquet.
			f.delta = known["delta"] && !known["parquet"]
			if !known["delta"] && !known["parquet"] {
				return f, invalid("responseformat is neither parquet nor delta")
			}
		case "includeendstreamaction":
			f.end = value == "true"
		}
	}
	return f, nil
}

func (f format) String() string {
	text := "responseformat=parquet"
	if f.delta {
		text = "responseformat=delta"
	}
	if f.end {
		text += ";includeendstreamaction=true"
	}
	return text
}

// stream writes an answer of many lines.
type stream struct {
	format
	w        http.ResponseWriter
	lines    bytes.Buffer
	earliest int64 // end of the first URL that ends, in ms; 0: none
}

func (r *request) stream(f format, v *view) *stream {
	h := r.w.Header()
	h.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	h.Set(versionHeader, strconv.FormatInt(v.Version, 10))
	h.Set(capabilitiesHeader, f.String())
	h.Set("Cache-Control", "no-store")
	return &stream{format: f, w: r.w}
}

// line adds a line; it is sent with the next flush.
func (s *stream) line(kind string, v any) {
	e := json.NewEncoder(&s.lines)
	e.SetEscapeHTML(false)
	_ = e.Encode(map[string]any{kind: v}) //nolint:errchkjson // texts and numbers always marshal
}

func (s *stream) flush() error {
	_, err := s.lines.WriteTo(s.w)
	return err
}

type object = map[string]any

// head writes the protocol and the metadata of a table.
func (s *stream) head(v *view) {
	if s.delta {
		s.line("protocol", object{"deltaProtocol": v.Protocol})
		s.line("metaData", object{"version": v.Version, "size": v.bytes, "numFiles": len(v.files), "deltaMetadata": v.Metadata})
		return
	}
	s.line("protocol", object{"minReaderVersion": 1})
	m := object{"id": v.Metadata.ID, "format": object{"provider": "parquet"}, "schemaString": v.Metadata.SchemaString,
		"partitionColumns": v.Metadata.PartitionColumns, "version": v.Version, "size": v.bytes, "numFiles": len(v.files)}
	if v.Metadata.Name != "" {
		m["name"] = v.Metadata.Name
	}
	if v.Metadata.Description != "" {
		m["description"] = v.Metadata.Description
	}
	s.line("metaData", m)
}

// file writes one file of a table, with a URL that reads it until a time, in ms.
func (s *stream) file(a delta.Add, version int64, url string, until int64) {
	if s.earliest == 0 || until < s.earliest {
		s.earliest = until
	}
	id, values := fileID(a), a.PartitionValues
	if values == nil {
		values = map[string]*string{}
	}
	if !s.delta {
		f := object{"url": url, "id": id, "partitionValues": values, "size": a.Size, "expirationTimestamp": until}
		if a.Stats != "" {
			f["stats"] = a.Stats
		}
		s.line("file", f)
		return
	}
	a.Path, a.PartitionValues, a.DataChange = url, values, false
	a.Tags = nil
	s.line("file", object{"id": id, "version": version, "expirationTimestamp": until, "deltaSingleAction": object{"add": a}})
}

// end ends the answer. A message says that it is not whole.
func (s *stream) end(message string) error {
	if s.format.end || message != "" {
		action := object{}
		if s.earliest != 0 {
			action["minUrlExpirationTimestamp"] = s.earliest
		}
		if message != "" {
			action = object{"errorMessage": message}
		}
		s.line("endStreamAction", action)
	}
	return s.flush()
}

// fileID names a file to clients, which cache by it: the same at each query.
func fileID(a delta.Add) string { return hash(a.Path)[:32] }
