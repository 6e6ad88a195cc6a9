package waybill

import "time"

// Operation is what an operator does to a connector's published tables.
type Operation string

// The operations.
const (
	OperationLatest    Operation = "latest"    // LATEST moved and pinned, or let follow again
	OperationUnpublish Operation = "unpublish" // a run taken back from the customer
	OperationNarrow    Operation = "narrow"    // a workflow taken from the customer; its data is kept for a while
	OperationReadmit   Operation = "readmit"   // a workflow that was taken, shown again
	OperationRevoke    Operation = "revoke"    // everything taken from the customer; the data is kept for a while
	OperationPurge     Operation = "purge"     // data erased: of one workflow, or of the whole connector
	OperationActivate  Operation = "activate"  // a one-time activation link was handed to an operator
	OperationRotate    Operation = "rotate"    // a recipient's token replaced
)

// OperationReceipt says what an operation did. It is kept in our own bucket,
// like the receipts of deliveries, and holds no secret.
type OperationReceipt struct {
	Operation   Operation     `json:"operation"`
	Connector   string        `json:"connector"`
	TeamID      string        `json:"teamId"`
	Kind        Kind          `json:"kind"`
	WorkflowID  string        `json:"workflowId,omitempty"` // empty: the whole connector
	JobID       string        `json:"jobId,omitempty"`      // of the run that it is about
	DeliveryID  string        `json:"deliveryId,omitempty"`
	Token       string        `json:"token,omitempty"`      // id of the token that it is about, or that was rotated
	By          string        `json:"by"`                   // who asked for it
	Why         string        `json:"why,omitempty"`        // in their words
	Version     int           `json:"version,omitempty"`    // n of V<n>: where LATEST is to point; 0: it follows the newest run
	Fence       int64         `json:"fence,omitempty"`      // of the lane, when it was done
	StartedAt   time.Time     `json:"startedAt"`            // when it was first asked for
	CompletedAt time.Time     `json:"completedAt,omitzero"` //
	Changes     []TableChange `json:"changes"`
}

// Effect is what became of a table.
type Effect string

// The effects.
const (
	EffectRemoved  Effect = "removed"  // rows were taken out; the table stays
	EffectMoved    Effect = "moved"    // LATEST points elsewhere, or holds what it points to anew
	EffectMarked   Effect = "marked"   // a row of a table about workflows says something else
	EffectRevoked  Effect = "revoked"  // the customer reads the table no longer; it is kept
	EffectRestored Effect = "restored" // rows, or the table, are the customer's again
	EffectErased   Effect = "erased"   // the table and its data are gone
)

// TableChange is what an operation did to one table.
type TableChange struct {
	Table  string `json:"table"`
	Effect Effect `json:"effect"`
	Rows   int64  `json:"rows,omitempty"`
	Files  int    `json:"files,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	From   int    `json:"from,omitempty"` // LATEST: the schema version that it held
	To     int    `json:"to,omitempty"`   // and the one that it holds now
}
