package waybill_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

func TestAtNamesTheStage(t *testing.T) {
	cause := errors.New("vendor said: boom")
	classified := &waybill.Failure{Verdict: waybill.Blocked, Code: "storage.no_bucket", Action: "Create the bucket.", Err: cause}
	for _, c := range []struct {
		name string
		err  error
		want waybill.Failure
	}{
		{"classified", classified, waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Blocked, Code: "storage.no_bucket"}},
		{"wrapped", fmt.Errorf("upload data.csv: %w", classified), waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Blocked, Code: "storage.no_bucket"}},
		{"stage given before", &waybill.Failure{Stage: waybill.StageLoad, Verdict: waybill.Permanent, Code: "x"}, waybill.Failure{Stage: waybill.StageLoad, Verdict: waybill.Permanent, Code: "x"}},
		{"unknown", cause, waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Transient, Code: "internal.unclassified"}},
		{"deadline", fmt.Errorf("put: %w", context.DeadlineExceeded), waybill.Failure{Stage: waybill.StageStage, Verdict: waybill.Transient, Code: "internal.timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := waybill.At(waybill.StageStage, c.err)
			if got.Stage != c.want.Stage || got.Verdict != c.want.Verdict || got.Code != c.want.Code {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if strings.Contains(got.Action, "boom") {
				t.Error("vendor text in the action")
			}
			if c.name == "wrapped" && (!errors.Is(got, cause) || !strings.Contains(got.Error(), "upload data.csv")) {
				t.Errorf("lost what was said on the way: %v", got)
			}
		})
	}
	if waybill.At(waybill.StageStage, nil) != nil {
		t.Error("no error is no failure")
	}
	if classified.Stage != "" {
		t.Error("At changed its argument")
	}
}
