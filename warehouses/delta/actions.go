package delta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// The actions of a commit, as they stand in the log:
// https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions
// Times are milliseconds since 1970.
type (
	// Protocol says what a program must know to read and write the table.
	Protocol struct {
		MinReaderVersion int      `json:"minReaderVersion"`
		MinWriterVersion int      `json:"minWriterVersion"`
		ReaderFeatures   []string `json:"readerFeatures,omitempty"`
		WriterFeatures   []string `json:"writerFeatures,omitempty"`
	}

	// Format is how data files are encoded.
	Format struct {
		Provider string            `json:"provider"`
		Options  map[string]string `json:"options"`
	}

	// Metadata is the table's identity, schema and configuration.
	Metadata struct {
		ID               string            `json:"id"`
		Name             string            `json:"name,omitempty"`
		Description      string            `json:"description,omitempty"`
		Format           Format            `json:"format"`
		SchemaString     string            `json:"schemaString"`
		PartitionColumns []string          `json:"partitionColumns"`
		Configuration    map[string]string `json:"configuration"`
		CreatedTime      int64             `json:"createdTime,omitempty"`
	}

	// Add is a data file that belongs to the table from this commit on.
	Add struct {
		Path             string             `json:"path"` // relative to the table, URI-encoded: see Key
		PartitionValues  map[string]*string `json:"partitionValues"`
		Size             int64              `json:"size"` // bytes
		ModificationTime int64              `json:"modificationTime"`
		DataChange       bool               `json:"dataChange"`
		Stats            string             `json:"stats,omitempty"` // JSON: see Statistics
		Tags             map[string]string  `json:"tags,omitempty"`
	}

	// Remove is a data file that no longer belongs to it.
	Remove struct {
		Path                 string             `json:"path"`
		DeletionTimestamp    int64              `json:"deletionTimestamp,omitempty"`
		DataChange           bool               `json:"dataChange"`
		ExtendedFileMetadata bool               `json:"extendedFileMetadata,omitempty"`
		PartitionValues      map[string]*string `json:"partitionValues,omitempty"`
		Size                 int64              `json:"size,omitempty"`
	}

	// Txn is how far an application has come in the table.
	Txn struct {
		AppID       string `json:"appId"`
		Version     int64  `json:"version"`
		LastUpdated int64  `json:"lastUpdated,omitempty"`
	}

	// CommitInfo tells people and history pages what a commit was.
	CommitInfo struct {
		Timestamp           int64             `json:"timestamp"`
		Operation           string            `json:"operation"`
		OperationParameters map[string]string `json:"operationParameters"`
		IsBlindAppend       bool              `json:"isBlindAppend"`
		EngineInfo          string            `json:"engineInfo,omitempty"`
		TxnID               string            `json:"txnId,omitempty"` // one attempt to commit: see Table.put
	}
)

// action is one line of a commit; one of its fields is set.
type action struct {
	CommitInfo *CommitInfo `json:"commitInfo,omitempty"`
	Protocol   *Protocol   `json:"protocol,omitempty"`
	Metadata   *Metadata   `json:"metaData,omitempty"`
	Txn        *Txn        `json:"txn,omitempty"`
	Remove     *Remove     `json:"remove,omitempty"`
	Add        *Add        `json:"add,omitempty"`
}

// Key is the file's key below the table.
func (a Add) Key() (string, error) { return pathKey(a.Path) }

func pathKey(path string) (string, error) {
	u, err := url.Parse(path)
	if err != nil {
		return "", fmt.Errorf("path %q: %w", path, err)
	}
	if u.IsAbs() || u.Host != "" || len(path) > 0 && path[0] == '/' {
		return "", fmt.Errorf("path %q is not within the table", path)
	}
	return url.PathUnescape(path)
}

// gone is the removal of the file.
func (a Add) gone(now time.Time, dataChange bool) action {
	return action{Remove: &Remove{Path: a.Path, DeletionTimestamp: now.UnixMilli(), DataChange: dataChange,
		ExtendedFileMetadata: true, PartitionValues: a.PartitionValues, Size: a.Size}}
}

func encodeActions(actions []action) ([]byte, error) {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)
	for _, a := range actions {
		if err := lines.Encode(a); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// decodeActions reads a commit. Actions that are not known are left out: the
// protocol versions that need them are refused.
func decodeActions(text []byte) ([]action, error) {
	var actions []action
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var a action
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(actions)+1, err)
		}
		actions = append(actions, a)
	}
	return actions, nil
}
