package ledger_test

import (
	"reflect"
	"testing"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/internal/ledger"
)

func TestSchemas(t *testing.T) {
	servers(t, ledger.Options{}, func(t *testing.T, b bundle) {
		first, second, again := run("job_1"), run("job_2"), run("job_3")
		second.Schema = waybill.Schema{Fields: []waybill.Field{{Name: "Title", DataType: waybill.String, IsKey: true}, {Name: "Budget", DataType: waybill.Money}}}
		for _, r := range []waybill.Run{first, second, again} {
			if _, err := b.Accept(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		got, err := b.Schemas(t.Context(), "team-a", "wf_movies")
		if want := map[int]waybill.Schema{1: first.Schema, 2: second.Schema}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Schemas = %v, %v, want %v", got, err, want)
		}
		for _, name := range [][2]string{{"team-b", "wf_movies"}, {"team-a", "wf_movie"}} {
			if got, err := b.Schemas(t.Context(), name[0], name[1]); err != nil || len(got) != 0 {
				t.Errorf("Schemas of %v = %v, %v", name, got, err)
			}
		}
	})
}
