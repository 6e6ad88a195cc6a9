// Package connectors is what customers' destinations are: how a person writes
// one, what is wrong with it, and the registry that keeps them.
package connectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/internal/secrets"
)

// Connector is one destination of one team. It holds references to secrets,
// never secrets.
type Connector struct {
	ID                 string        `json:"id" yaml:"id"`
	Team               string        `json:"team" yaml:"team"`
	Kind               waybill.Kind  `json:"kind" yaml:"kind"`
	Workflows          []string      `json:"workflows,omitempty" yaml:"workflows"`                   // empty: all of the team
	MaxInFlight        int           `json:"maxInFlight,omitempty" yaml:"maxInFlight"`               // deliveries under way at once; 0: the fleet's default
	MalformedTolerated int64         `json:"malformedTolerated,omitempty" yaml:"malformedTolerated"` // malformed records a run may have
	ActivityLog        *bool         `json:"activityLog,omitempty" yaml:"activityLog"`               // nil: see [Connector.LogsActivity]
	Backfill           string        `json:"backfill,omitempty" yaml:"backfill"`                     // "initial": its history is brought when its first run is delivered
	Storage            *Storage      `json:"storage,omitempty" yaml:"storage"`                       // kind storage
	Snowflake          *Snowflake    `json:"snowflake,omitempty" yaml:"snowflake"`                   // kind snowflake
	Databricks         *Databricks   `json:"databricks,omitempty" yaml:"databricks"`                 // kind databricks
	DeltaSharing       *DeltaSharing `json:"deltasharing,omitempty" yaml:"deltasharing"`             // kind deltasharing
	Webhook            *Webhook      `json:"webhook,omitempty" yaml:"webhook"`                       // is told what becomes of deliveries
	Slack              secrets.Ref   `json:"slack,omitzero" yaml:"slack"`                            // URL of a Slack-compatible webhook, likewise
	CreatedAt          time.Time     `json:"createdAt,omitzero"`                                     // set by the registry

	// ExternalID is what the trust policy of a customer's role asks of us, so
	// that nobody else can make us use that role: set by the registry when it
	// first sees the connector, unguessable, and never another afterwards.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
	ExternalID string `json:"externalId,omitempty"`
}

// Webhook is an address that is told what becomes of deliveries.
type Webhook = config.Webhook

// Storage is a bucket, a container or a folder, and what is put there.
type Storage struct {
	URL             string       `json:"url" yaml:"url"`                                   // s3://bucket/prefix, gs://bucket/prefix, azblob://container/prefix or file:///folder
	Region          string       `json:"region,omitempty" yaml:"region"`                   // of an S3 bucket
	Endpoint        string       `json:"endpoint,omitempty" yaml:"endpoint"`               // of a store that is not the vendor's public one
	PathStyle       bool         `json:"pathStyle,omitempty" yaml:"pathStyle"`             // S3: the bucket's name stands in the path
	KMSKeyID        string       `json:"kmsKeyId,omitempty" yaml:"kmsKeyId"`               // S3: objects are encrypted with this key of KMS
	Path            string       `json:"path,omitempty" yaml:"path"`                       // template; empty: the brand's default
	Formats         []string     `json:"formats" yaml:"formats"`                           //
	Compression     Compression  `json:"compression,omitzero" yaml:"compression"`          // of the text formats
	MaxFileBytes    config.Bytes `json:"maxFileBytes,omitempty" yaml:"maxFileBytes"`       // a format's next file begins before it becomes larger; 0: one file
	CSVFormulaGuard bool         `json:"csvFormulaGuard,omitempty" yaml:"csvFormulaGuard"` // CSV values that a spreadsheet would run are made text
	Access          Access       `json:"access,omitzero" yaml:"access"`                    //
}

// Compression says how text formats are compressed: gzip, zstd, or not at all
// ("none", or empty). Parquet is compressed inside, and JSON is for people.
type Compression struct {
	CSV   string `json:"csv,omitempty" yaml:"csv"`
	JSONL string `json:"jsonl,omitempty" yaml:"jsonl"`
}

// Of returns gzip or zstd, or nothing for a format that is not compressed.
func (c Compression) Of(format string) string {
	name := map[string]string{"csv": c.CSV, "jsonl": c.JSONL}[format]
	if name == "none" {
		return ""
	}
	return name
}

// Subscribes reports whether runs of the workflow are delivered here.
func (c Connector) Subscribes(workflowID string) bool {
	return len(c.Workflows) == 0 || slices.Contains(c.Workflows, workflowID)
}

// Encode returns the connector as the registry keeps it: one line of JSON.
func (c Connector) Encode() ([]byte, error) {
	doc, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode connector %s: %w", c.ID, err)
	}
	return doc, nil
}

// Decode reads what [Connector.Encode] wrote. A key that this version does not
// know is an error: a newer version wrote it, and it may narrow what is delivered.
func Decode(doc []byte) (Connector, error) {
	var c Connector
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Connector{}, fmt.Errorf("decode connector: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Connector{}, fmt.Errorf("decode connector %s: something follows the document", c.ID)
	}
	return c, nil
}
