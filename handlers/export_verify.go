package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/storage"
)

// ManifestName is the object that says what else is there. It is written last:
// a folder whose manifest says "complete" is whole.
const ManifestName = "_manifest.json"

// Manifest is the content of _manifest.json. It holds nothing that differs
// between two attempts at the same delivery.
type Manifest struct {
	Version       int                  `json:"manifestVersion"` // 1
	State         string               `json:"state"`           // complete, or replacing: a newer generation is being written
	DeliveryID    string               `json:"deliveryId"`
	Generation    int                  `json:"generation"`
	TeamID        string               `json:"teamId"`
	WorkflowID    string               `json:"workflowId"`
	JobID         string               `json:"jobId"`
	FinishedAt    time.Time            `json:"finishedAt"` // of the run
	Revision      string               `json:"revision"`
	Replaces      string               `json:"replaces,omitempty"` // location of the folder that this one takes the place of: the run's finish time was another
	SchemaVersion int                  `json:"schemaVersion"`
	Schema        waybill.Schema       `json:"schema"` // the fields that were delivered
	Rows          int64                `json:"rows"`
	Quarantined   int64                `json:"quarantined"`
	Files         []waybill.File       `json:"files"`
	Fields        []waybill.FieldStats `json:"fields"`
}

func (d *destination) manifest(p pushed, replaces string) Manifest {
	return Manifest{
		Version: 1, State: "complete", DeliveryID: d.Delivery.ID, Generation: d.Delivery.Generation,
		TeamID: d.Run.TeamID, WorkflowID: d.Run.WorkflowID, JobID: d.Run.JobID, FinishedAt: d.Run.FinishedAt.UTC(),
		Revision: d.Revision, Replaces: replaces, SchemaVersion: d.Delivery.SchemaVersion, Schema: waybill.Schema{Fields: d.Run.Schema.Exported()},
		Rows: p.Conversion.Rows, Quarantined: p.Conversion.Quarantined, Files: p.Files, Fields: p.Conversion.Fields,
	}
}

// verify reads back what the store has of each file, then writes the manifest,
// and reads that back too.
func (d *destination) verify(ctx context.Context, p pushed) (waybill.Receipt, error) {
	replaces, err := d.replaces(ctx)
	if err != nil {
		return waybill.Receipt{}, err
	}
	receipt := waybill.Receipt{Location: d.location(), Replaces: replaces, SourceETag: p.SourceETag, Rows: p.Conversion.Rows, Files: p.Files, Conversion: p.Conversion}
	for _, file := range p.Files {
		if err := d.readBack(ctx, d.key(file.Name), file, d.metadata(file.Format)); err != nil {
			return receipt, err
		}
		receipt.Bytes += file.Bytes
	}
	return receipt, d.writeManifest(ctx, d.manifest(p, replaces))
}

// replaces is the location of the generation that was delivered before this
// one, if that is another: the finish time is a part of it. Its files stay
// where they are; whoever reads this manifest knows that they are not to be
// read beside these.
func (d *destination) replaces(ctx context.Context) (string, error) {
	was, err := d.Replaces(ctx)
	if errors.Is(err, waybill.ErrNotFound) || was.Location == d.location() {
		return "", nil
	}
	return was.Location, err
}

func (d *destination) readBack(ctx context.Context, key string, want waybill.File, metadata map[string]string) error {
	o, err := d.store.Stat(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotExist) {
		return err
	}
	difference := err
	if err == nil {
		if difference, err = d.holds(ctx, o, want, metadata); err != nil {
			return err
		}
	}
	if difference == nil {
		return nil
	}
	// The files are written anew: what was recorded is no longer true.
	if err := d.Forget(ctx, waybill.StageStage); err != nil {
		return err
	}
	return waybill.Failf(waybill.Transient, "storage.readback",
		"What the store holds is not what was written; nothing else may write into the delivery's folder. It is written again by itself.", "%w", difference)
}

// markReplacing takes the word "complete" away from an older generation's
// files before the first of them is overwritten.
func (d *destination) markReplacing(ctx context.Context) error {
	old, object, err := d.readManifest(ctx)
	if err != nil || object.ETag == "" || old.State == "replacing" || old.Generation >= d.Delivery.Generation && old.DeliveryID == d.Delivery.ID {
		return err
	}
	old.State = "replacing"
	return d.putManifest(ctx, old, object.ETag)
}

func (d *destination) writeManifest(ctx context.Context, m Manifest) error {
	text, err := encodeManifest(m)
	if err != nil {
		return err
	}
	old, object, err := d.readManifest(ctx)
	if err != nil {
		return err
	}
	if was, err := encodeManifest(old); err == nil && object.ETag != "" && bytes.Equal(was, text) {
		return nil
	}
	if err := d.putManifest(ctx, m, object.ETag); err != nil {
		return err
	}
	sum := newDigest()
	_, _ = sum.Write(text) // hashes do not fail
	want := sum.file(ManifestName, "", 0)
	return d.readBack(ctx, d.key(ManifestName), want, nil)
}

// readManifest returns the manifest that stands in the folder; an object
// without an ETag means that there is none.
func (d *destination) readManifest(ctx context.Context) (Manifest, storage.Object, error) {
	var m Manifest
	body, object, err := d.store.Get(ctx, d.key(ManifestName), storage.GetOptions{})
	if errors.Is(err, storage.ErrNotExist) {
		return m, storage.Object{}, nil
	}
	if err != nil {
		return m, storage.Object{}, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 64<<20))
	if err != nil {
		return m, object, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		// Somebody else's file: it is replaced like any other.
		return Manifest{}, object, nil
	}
	return m, object, nil
}

func (d *destination) putManifest(ctx context.Context, m Manifest, ifMatch string) error {
	text, err := encodeManifest(m)
	if err != nil {
		return err
	}
	_, err = d.store.Put(ctx, d.key(ManifestName), bytes.NewReader(text), storage.PutOptions{
		ContentType: "application/json", Metadata: d.metadata("manifest"), IfAbsent: ifMatch == "", IfMatch: ifMatch})
	return err
}

func encodeManifest(m Manifest) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(text, '\n'), nil
}
