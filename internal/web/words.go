package web

import (
	"fmt"
	"html/template"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// functions are how the pages write numbers and times.
var functions = template.FuncMap{
	"count": count, "bytes": size, "took": took, "utc": utc, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ago": func(t time.Time) string { return took(time.Since(t)) + " ago" }, "turn": turnOf, "freshness": freshness,
	"short": func(hash string) string { return hash[:min(12, len(hash))] },
}

// count writes a number in groups of three digits.
func count(n any) string {
	digits := strconv.FormatInt(reflect.ValueOf(n).Int(), 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(c)
	}
	return b.String()
}

func size(n int64) string {
	units, f := []string{"kB", "MB", "GB", "TB"}, float64(n)
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	for _, unit := range units {
		if f /= 1000; f < 999.5 || unit == units[len(units)-1] {
			return strconv.FormatFloat(f, 'f', decimals(f), 64) + " " + unit
		}
	}
	return ""
}

func decimals(f float64) int {
	if f < 9.95 {
		return 1
	}
	return 0
}

// took writes how long something took, to two digits or so.
func took(d time.Duration) string {
	switch s := max(d, 0).Seconds(); {
	case s < 1:
		return fmt.Sprintf("%d ms", max(d, 0).Milliseconds())
	case s < 60:
		return strconv.FormatFloat(s, 'f', decimals(s), 64) + " s"
	case s < 3600:
		return fmt.Sprintf("%d min", int(s/60))
	case s < 48*3600:
		return fmt.Sprintf("%d h", int(s/3600))
	default:
		return fmt.Sprintf("%d days", int(s/86400))
	}
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// freshness is how long after its run's finish a delivery was visible.
func freshness(d waybill.Delivery) string {
	if d.CompletedAt.IsZero() || d.RunFinishedAt.IsZero() {
		return "–"
	}
	return took(d.CompletedAt.Sub(d.RunFinishedAt))
}

// turn is who must act, and on what.
type turn struct {
	Whose string // in a word or two
	What  string // in a sentence
}

// turnOf is whose turn it is with a delivery.
func turnOf(d waybill.Delivery) turn {
	switch d.State {
	case waybill.StateComplete:
		return turn{"nobody", "It has arrived and was read back."}
	case waybill.StateCancelled:
		return turn{"nobody", "It was taken back before it was delivered."}
	case waybill.StateBlocked:
		return turn{"customer or operator", "It waits until this is mended; then retry it. A changed connector sends it on its way by itself."}
	case waybill.StateRetrying:
		return turn{"nobody", "It is tried again by itself."}
	case waybill.StateFailed:
		if !d.NextAt.IsZero() {
			return turn{"nobody yet", "It is replayed by itself; if that does not help, it is an operator's turn."}
		}
		if d.Verdict == waybill.Permanent {
			return turn{"us or the producer", "A retry alone fails alike: mend what the sentence says, then retry it."}
		}
		return turn{"operator", "It was given up after its attempts. Mend what the sentence says, then retry it."}
	}
	return turn{"nobody", "It goes on by itself."}
}

// step is a stage of a delivery on its page.
type step struct {
	Stage waybill.Stage
	What  string
	State string // done, failed, running or open
	Took  string
}

var stageWords = map[waybill.Stage]string{
	waybill.StageStage:  "convert the records and put them in place",
	waybill.StageSchema: "fit the tables to the schema version",
	waybill.StageLoad:   "bring the rows in",
	waybill.StageShare:  "show them to the customer",
	waybill.StageVerify: "read back what the customer sees",
}

// steps are the stages that a delivery passes, and how far it came: what its
// history says since it was planned last.
func steps(s ledger.Story) (list []step) {
	done := map[waybill.Stage]time.Duration{}
	for _, e := range s.History {
		switch e.What {
		case "planned", "replaced":
			clear(done)
		case "step":
			done[e.Stage] += e.Duration
		}
	}
	d := s.Delivery
	for _, stage := range waybill.Stages() {
		if d.Kind == waybill.KindStorage && stage != waybill.StageStage && stage != waybill.StageVerify {
			continue
		}
		st := step{Stage: stage, What: stageWords[stage], State: "open"}
		if duration, ok := done[stage]; ok {
			st.State, st.Took = "done", took(duration)
		}
		if d.Stage == stage {
			switch d.State {
			case waybill.StateFailed, waybill.StateBlocked, waybill.StateRetrying:
				st.State = "failed"
			case waybill.StateRunning:
				st.State = "running"
			}
		}
		list = append(list, st)
	}
	return list
}
