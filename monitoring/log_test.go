package monitoring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct{ level, format, want string }{
		{"info", "json", `"msg":"shown","delivery":"d01"}`},
		{"warn", "text", ""},
		{"debug", "text", "msg=shown delivery=d01"},
	} {
		var out bytes.Buffer
		log, err := NewLogger(&out, c.level, c.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("shown", slog.String(KeyDelivery, "d01"))
		if c.want == "" && out.Len() > 0 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s %s: %q", c.level, c.format, out.String())
		}
	}
	for _, c := range [][2]string{{"loud", "json"}, {"info", "xml"}} {
		if _, err := NewLogger(&bytes.Buffer{}, c[0], c[1]); err == nil || !strings.Contains(err.Error(), "is not known; use") {
			t.Errorf("%v: %v", c, err)
		}
	}
}
