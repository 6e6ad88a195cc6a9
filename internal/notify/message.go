package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// Message is the body of a webhook.
type Message struct {
	Type      string    `json:"type"`      // delivery.complete, failed, blocked, cancelled or unpublished; connector.paused or recovered; destination.paused or recovered
	ID        string    `json:"id"`        // of the change: the same however often it is told
	Timestamp time.Time `json:"timestamp"` // of the change
	Data      Data      `json:"data"`
}

// Data is what changed.
type Data struct {
	Connector     string          `json:"connector,omitempty"`   // of a destination that the fleet is told of: none
	Destination   string          `json:"destination,omitempty"` // that was paused or goes on, e.g. s3/eu-central-1
	DeliveryID    string          `json:"deliveryId,omitempty"`
	TeamID        string          `json:"teamId,omitempty"`
	WorkflowID    string          `json:"workflowId,omitempty"`
	JobID         string          `json:"jobId,omitempty"`
	Kind          waybill.Kind    `json:"kind,omitempty"`
	Generation    int             `json:"generation,omitempty"`
	SchemaVersion int             `json:"schemaVersion,omitempty"`
	RunFinishedAt time.Time       `json:"runFinishedAt,omitzero"`
	Rows          int64           `json:"rows,omitempty"`  // delivered
	Bytes         int64           `json:"bytes,omitempty"` // delivered
	Stage         waybill.Stage   `json:"stage,omitempty"` // that failed
	Verdict       waybill.Verdict `json:"verdict,omitempty"`
	Code          string          `json:"code,omitempty"`
	Action        string          `json:"action,omitempty"` // the sentence to who can mend it
	NextAt        time.Time       `json:"nextAt,omitzero"`  // when it is tried again by itself
	Reason        string          `json:"reason,omitempty"` // of a pause, or a cancellation
}

// message is what a receiver is sent.
func message(n ledger.Note, slack bool) ([]byte, error) {
	var body any = compose(n)
	if slack {
		body = map[string]string{"text": sentence(n)}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return text, nil
}

func compose(n ledger.Note) Message {
	m := Message{Type: "connector." + n.What, ID: n.ID, Timestamp: n.At, Data: Data{Connector: n.Connector, Destination: n.Destination, Reason: n.Reason}}
	if n.Destination != "" {
		m.Type = n.What
	}
	d, e := n.Delivery, n.Event
	if d.ID == "" {
		return m
	}
	m.Type = "delivery." + n.What
	m.Data = Data{Connector: n.Connector, DeliveryID: d.ID, TeamID: d.TeamID, WorkflowID: d.WorkflowID, JobID: d.JobID, Kind: d.Kind,
		Generation: d.Generation, SchemaVersion: d.SchemaVersion, RunFinishedAt: d.RunFinishedAt,
		Stage: e.Stage, Verdict: e.Verdict, Code: e.Code, Action: e.Action, NextAt: e.Next}
	switch n.What {
	case ledger.NoteComplete:
		m.Data.Rows, m.Data.Bytes = d.Rows, d.Bytes
	case ledger.NoteCancelled: // which is no failure
		m.Data.Code, m.Data.Reason = "", e.Code
	}
	return m
}

// escape is for texts in a message of Slack's.
// https://api.slack.com/reference/surfaces/formatting#escaping
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// sentence is a note as a person reads it.
func sentence(n ledger.Note) string {
	connector := "*" + escape.Replace(n.Connector) + "*"
	run := escape.Replace(n.Delivery.WorkflowID + " / " + n.Delivery.JobID)
	why := escape.Replace(n.Event.Action)
	switch n.What {
	case ledger.NoteComplete:
		return fmt.Sprintf(":white_check_mark: %s arrived at %s: %d rows.", run, connector, n.Delivery.Rows)
	case ledger.NoteFailed:
		return fmt.Sprintf(":x: %s did not arrive at %s (stage %s, `%s`). %s", run, connector, n.Event.Stage, escape.Replace(n.Event.Code), why)
	case ledger.NoteBlocked:
		return fmt.Sprintf(":no_entry: %s waits for somebody at %s (stage %s, `%s`). %s", run, connector, n.Event.Stage, escape.Replace(n.Event.Code), why)
	case ledger.NoteCancelled:
		return fmt.Sprintf(":heavy_minus_sign: %s to %s was cancelled: %s.", run, connector, escape.Replace(n.Event.Code))
	case ledger.NoteUnpublished:
		return fmt.Sprintf(":leftwards_arrow_with_hook: %s was taken back from %s.", run, connector)
	case ledger.NotePaused:
		return fmt.Sprintf(":double_vertical_bar: %s is paused: %s", connector, escape.Replace(n.Reason))
	case ledger.NoteDestinationPaused:
		return fmt.Sprintf(":double_vertical_bar: %s is paused: %s", destination(n), escape.Replace(n.Reason))
	case ledger.NoteDestinationRecovered:
		return fmt.Sprintf(":arrow_forward: %s goes on.", destination(n))
	}
	return fmt.Sprintf(":arrow_forward: %s goes on.", connector)
}

// destination is what a person reads of one, and of the connector there.
func destination(n ledger.Note) string {
	text := "the destination *" + escape.Replace(n.Destination) + "*"
	if n.Connector != "" {
		text += " of *" + escape.Replace(n.Connector) + "*"
	}
	return text
}

// sign proves who sent a message, and when, as Standard Webhooks have it.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func sign(h http.Header, secret, id string, now time.Time, text []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key(secret))
	fmt.Fprintf(mac, "%s.%s.%s", id, at, text)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// key is the secret's bytes; of one that is written as the standard has it,
// those that its base64 stands for.
func key(secret string) []byte {
	secret = strings.TrimSpace(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if k, err := base64.StdEncoding.DecodeString(text); err == nil {
			return k
		}
	}
	return []byte(secret)
}
