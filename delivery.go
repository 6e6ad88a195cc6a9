package waybill

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Stage is a step of a delivery. Every failure names one.
type Stage string

// The stages, in the order a delivery passes them.
const (
	StageStage  Stage = "stage"  // convert the records and put them where the destination takes them from
	StageSchema Stage = "schema" // make the destination's tables fit the schema version
	StageLoad   Stage = "load"   // bring the rows in
	StageShare  Stage = "share"  // show them to the customer
	StageVerify Stage = "verify" // read back what the customer sees
)

// Stages lists the stages in order.
func Stages() []Stage {
	return []Stage{StageStage, StageSchema, StageLoad, StageShare, StageVerify}
}

// Kind is a kind of connector.
type Kind string

// The kinds of connector.
const (
	KindStorage      Kind = "storage"      // S3, GCS, Azure Blob, a folder
	KindSnowflake    Kind = "snowflake"    // secure views that our Snowflake account shares
	KindDatabricks   Kind = "databricks"   // tables shared through the provider's Databricks workspace
	KindDeltaSharing Kind = "deltasharing" // tables shared by our own Delta Sharing server
)

// State is where a delivery stands.
type State string

// The states of a delivery.
const (
	StateWaiting   State = "waiting"   // in the ledger's backlog
	StateQueued    State = "queued"    // handed to the queue
	StateRunning   State = "running"   // an attempt is under way
	StateRetrying  State = "retrying"  // an attempt failed; the next has its time
	StateBlocked   State = "blocked"   // the customer or the operator must act
	StateComplete  State = "complete"  // delivered, with a receipt
	StateFailed    State = "failed"    // gave up; can be replayed
	StateCancelled State = "cancelled" // taken back before it was delivered

	StateUnpublished State = "unpublished" // delivered, and taken back from the customer since
)

// States lists every state.
func States() []State {
	return []State{StateWaiting, StateQueued, StateRunning, StateRetrying, StateBlocked, StateComplete, StateFailed, StateCancelled, StateUnpublished}
}

// Slots is the number of hash tags over which the ledger spreads teams.
const Slots = 64

// Slot is the hash tag, 0 to Slots-1, of everything the ledger keeps of a team.
func Slot(teamID string) int {
	sum := sha256.Sum256([]byte(teamID))
	return int(sum[0]) % Slots
}

// DeliveryID is the id of the delivery of a run to a connector: derived from
// both, so that handing in twice cannot deliver twice. Its two digits after
// the "d" are the team's [Slot].
func DeliveryID(run RunKey, connector string) string {
	sum := sha256.Sum256([]byte(run.String() + "\x00" + connector))
	return fmt.Sprintf("d%02d%x", Slot(run.TeamID), sum[:10])
}

var deliveryID = regexp.MustCompile(`^d([0-9]{2})[0-9a-f]{20}$`)

// DeliverySlot returns the slot that a delivery's id names.
func DeliverySlot(id string) (int, error) {
	if m := deliveryID.FindStringSubmatch(id); m != nil {
		if slot, err := strconv.Atoi(m[1]); err == nil && slot < Slots {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("%s is not a delivery id", Quote(id))
}

// Delivery is one run on its way to one connector, as the ledger knows it.
type Delivery struct {
	ID string `json:"id"`
	RunKey
	Connector     string    `json:"connector"`
	Kind          Kind      `json:"kind"`
	Historical    bool      `json:"historical,omitempty"` // of a backfill: it goes after live ones, and no time is promised
	Generation    int       `json:"generation"`           // 1, and one more for each replacement of the run
	SchemaVersion int       `json:"schemaVersion"`        // n of the run's V<n>
	State         State     `json:"state"`
	Stage         Stage     `json:"stage,omitempty"`   // the step under way, or the one that failed
	Task          string    `json:"task"`              // the task type that does the next step
	Attempts      int       `json:"attempts"`          // tries of the present round
	Replays       int       `json:"replays,omitempty"` // slow automatic replays so far
	RunFinishedAt time.Time `json:"runFinishedAt"`     //
	CreatedAt     time.Time `json:"createdAt"`         // when the run was planned
	UpdatedAt     time.Time `json:"updatedAt"`         // last change of state
	NextAt        time.Time `json:"nextAt,omitzero"`   // retrying, or failed with a replay to come: when
	CompletedAt   time.Time `json:"completedAt,omitzero"`
	Verdict       Verdict   `json:"verdict,omitempty"` // of the last failure
	Code          string    `json:"code,omitempty"`    // of the last failure
	Action        string    `json:"action,omitempty"`  // of the last failure: the sentence to who can mend it
	Rows          int64     `json:"rows"`              // delivered, once complete
	Bytes         int64     `json:"bytes"`             // delivered, once complete
	Receipt       string    `json:"receipt,omitempty"` // key of the receipt in our bucket
}

// Event is one entry of a delivery's history.
type Event struct {
	At       time.Time     `json:"at"`
	What     string        `json:"what"` // planned, queued, started, step, retrying, failed, blocked, complete, …
	Stage    Stage         `json:"stage,omitempty"`
	Attempt  int           `json:"attempt,omitempty"`
	Duration time.Duration `json:"durationNs,omitempty"` // of a step, in nanoseconds
	Verdict  Verdict       `json:"verdict,omitempty"`
	Code     string        `json:"code,omitempty"`
	Action   string        `json:"action,omitempty"`
	Next     time.Time     `json:"next,omitzero"` // when it is tried again
}
