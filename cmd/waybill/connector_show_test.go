package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/formats"
	"github.com/waybillhq/waybill/internal/connectors"
)

// What is shown of a connector of any kind is that connector when it is read.
func TestWhatIsShownCanBeApplied(t *testing.T) {
	rules := connectors.Rules{Kinds: []waybill.Kind{waybill.KindStorage}}
	for _, f := range formats.All() {
		rules.Formats = append(rules.Formats, string(f))
	}
	list, err := rules.ReadFiles("../../internal/connectors/testdata/stores.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		c.CreatedAt, c.ExternalID = time.Now(), "waybill-EXTERNAL"
		text, err := shown(c)
		if err != nil {
			t.Fatal(err)
		}
		c.CreatedAt, c.ExternalID = time.Time{}, ""
		back, err := rules.Parse("shown", []byte(text))
		if err != nil || len(back) != 1 || !reflect.DeepEqual(back[0], c) {
			t.Errorf("%v\n%s\nread as %+v", err, text, back)
		}
	}
}
