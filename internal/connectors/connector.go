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
	"github.com/waybillhq/waybill/internal/secrets"
)

// Connector is one destination of one team. It holds references to secrets,
// never secrets.
type Connector struct {
	ID                 string       `json:"id" yaml:"id"`
	Team               string       `json:"team" yaml:"team"`
	Kind               waybill.Kind `json:"kind" yaml:"kind"`
	Workflows          []string     `json:"workflows,omitempty" yaml:"workflows"`                   // empty: all of the team
	MaxInFlight        int          `json:"maxInFlight,omitempty" yaml:"maxInFlight"`               // deliveries under way at once; 0: the fleet's default
	MalformedTolerated int64        `json:"malformedTolerated,omitempty" yaml:"malformedTolerated"` // malformed records a run may have
	Storage            *Storage     `json:"storage,omitempty" yaml:"storage"`                       // kind storage
	CreatedAt          time.Time    `json:"createdAt,omitzero"`                                     // set by the registry
}

// Storage is a bucket or a folder, and what is put there.
type Storage struct {
	URL       string   `json:"url" yaml:"url"`                       // s3://bucket/prefix or file:///folder
	Region    string   `json:"region,omitempty" yaml:"region"`       //
	Endpoint  string   `json:"endpoint,omitempty" yaml:"endpoint"`   // of an S3 store that is not AWS
	PathStyle bool     `json:"pathStyle,omitempty" yaml:"pathStyle"` //
	Path      string   `json:"path,omitempty" yaml:"path"`           // template; empty: the brand's default
	Formats   []string `json:"formats" yaml:"formats"`               //
	Access    Access   `json:"access,omitzero" yaml:"access"`        //
}

// Access is how we prove who we are. The zero Access uses our process's own
// credentials: the customer's bucket policy names us.
type Access struct {
	AccessKeyID     secrets.Ref `json:"accessKeyId,omitzero" yaml:"accessKeyId"`
	SecretAccessKey secrets.Ref `json:"secretAccessKey,omitzero" yaml:"secretAccessKey"`
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
