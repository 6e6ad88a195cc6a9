package ledger_test

import (
	"errors"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

// A generation knows the last one that was delivered before it, though others
// in between never were.
func TestAGenerationKnowsWhichOneItReplaces(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		generation := func(rows int64) *ledger.Lease {
			r := run("job_1")
			r.RowCount, r.Replace = rows, rows > 1
			b.plan(t, r, 4)
			return b.begin(t, b.one(t))
		}
		lease := generation(1)
		if _, err := lease.Replaces(t.Context()); !errors.Is(err, waybill.ErrNotFound) {
			t.Errorf("the first generation replaces another: %v", err)
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{Location: "file:///one/"}); err != nil {
			t.Fatal(err)
		}
		for rows := int64(2); rows < 5; rows++ { // two of them are never delivered
			lease = generation(rows)
			if was, err := lease.Replaces(t.Context()); err != nil || was.Location != "file:///one/" || was.Generation != 1 {
				t.Errorf("generation %d replaces %+v, %v", rows, was, err)
			}
		}
		if err := lease.Complete(t.Context(), waybill.Receipt{Location: "file:///four/"}); err != nil {
			t.Fatal(err)
		}
		if was, err := generation(5).Replaces(t.Context()); err != nil || was.Location != "file:///four/" || was.Generation != 4 {
			t.Errorf("generation 5 replaces %+v, %v", was, err)
		}
	})
}
