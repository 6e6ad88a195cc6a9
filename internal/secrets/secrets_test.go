package secrets

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const value = "hunter2-Zm9v"

func TestSecretNeverPrints(t *testing.T) {
	s := New(value)
	type holder struct {
		Public  Secret
		private Secret
		ptr     *Secret
	}
	h := holder{s, s, &s}
	texts := map[string]string{"error": fmt.Errorf("cause: %w, %v", fmt.Errorf("%s", s), h).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		texts[verb] = fmt.Sprintf(verb, s)
		texts["pointer "+verb] = fmt.Sprintf(verb, &s)
		texts["in a struct "+verb] = fmt.Sprintf(verb, h)
		texts["in a map "+verb] = fmt.Sprintf(verb, map[string]Secret{"k": s})
	}
	texts["String"], texts["GoString"], texts["Sprint"] = s.String(), s.GoString(), fmt.Sprint(s)
	asJSON, _ := json.Marshal(map[string]any{"h": h, "s": s})
	asXML, _ := xml.Marshal(s)
	texts["JSON"], texts["XML"] = string(asJSON), string(asXML)
	for name, text := range texts {
		if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
	if got := s.Reveal(); got != value {
		t.Errorf("Reveal() = %q", got)
	}
	if texts["%v"] != "[secret]" || !strings.Contains(texts["JSON"], `"[secret]"`) {
		t.Errorf("prints as %q and %s", texts["%v"], texts["JSON"])
	}
}

func TestSecretNeverReachesALog(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("m", "s", New(value), "p", new(New(value)), "any", []Secret{New(value)})
	}
	if strings.Contains(out.String(), value) || strings.Count(out.String(), "[secret]") < 4 {
		t.Errorf("log: %s", out.String())
	}
}

func TestZeroSecretIsEmpty(t *testing.T) {
	if got := (Secret{}).Reveal(); got != "" {
		t.Errorf("Reveal() = %q", got)
	}
}

func TestParseRef(t *testing.T) {
	for _, text := range []string{
		"env:REDIS_PASSWORD", "env:_x1", "file:/run/secrets/redis", "file:/a b/c",
		"aws-sm:acme", "aws-sm:prod/acme#secretAccessKey", "aws-sm:arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/acme-AbCdEf#id",
		"gcp-sm:projects/acme-1/secrets/lake/versions/latest", "gcp-sm:projects/42/secrets/lake_key/versions/7#key",
		"azure-kv:https://acme.vault.azure.net/secrets/lake", "azure-kv:https://acme.vault.azure.cn/secrets/lake/4387e9f3d6e14c459867679a90fd0f79#key",
		"vault:secret/acme/s3#secretAccessKey", "vault:kv/a#b",
	} {
		r, err := ParseRef(text)
		if err != nil || r.String() != text {
			t.Errorf("ParseRef(%q) = %q, %v", text, r, err)
		}
	}
	for text, mend := range map[string]string{
		value:                "write env:NAME, file:/absolute/path, aws-sm:NAME",
		"":                   "azure-kv:https://VAULT.vault.azure.net/secrets/NAME or vault:MOUNT/PATH#KEY, never the secret itself",
		"s3:secret/x":        "gcp-sm:projects/PROJECT/secrets/NAME/versions/latest",
		"ENV:X":              "write env:NAME",
		"env:":               "after env: write",
		"env:" + value:       "after env: write", // a dash is no part of a name
		"env:A B":            "after env: write",
		"file:relative/path": "after file: write its absolute path",
		"file:":              "after file:",
		"file:/a\x00b":       "after file:",

		"aws-sm:":                  "after aws-sm: write",
		"aws-sm:" + value + "?":    "after aws-sm: write",
		"aws-sm:a#b#c":             "after aws-sm: write",
		"aws-sm:arn:aws:s3:::acme": "after aws-sm: write",
		"gcp-sm:lake":              "after gcp-sm: write projects/",
		"gcp-sm:projects/p/secrets/s/versions/../../x":                    "after gcp-sm: write",
		"gcp-sm:projects/p/secrets/s":                                     "versions/latest",
		"azure-kv:acme/lake":                                              "after azure-kv: write https://",
		"azure-kv:https://vault.azure.net.evil.example/secrets/" + value:  "after azure-kv: write", // would get our token
		"azure-kv:https://acme.vault.azure.net@evil.example/secrets/a":    "after azure-kv: write",
		"azure-kv:http://acme.vault.azure.net/secrets/a":                  "after azure-kv: write",
		"azure-kv:https://acme.vault.azure.net/secrets/a?api-version=7.4": "after azure-kv: write",
		"vault:secret/acme":                                               "the path and the key",
		"vault:secret#key":                                                "after vault: write",
		"vault:secret/../sys/seal#k":                                      "after vault: write",
		"vault:secret/a%2f../sys#key":                                     "after vault: write",
	} {
		_, err := ParseRef(text)
		if err == nil || !strings.Contains(err.Error(), mend) {
			t.Errorf("ParseRef(%q) = %v, want %q", text, err, mend)
		} else if strings.Contains(err.Error(), value) {
			t.Errorf("ParseRef(%q) repeats the secret: %v", text, err)
		}
	}
}

func TestRefAsJSON(t *testing.T) {
	type doc struct {
		Key Ref `json:"key,omitzero"`
	}
	for _, text := range []string{`{"key":"env:A"}`, `{}`} {
		var d doc
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if back, err := json.Marshal(d); err != nil || string(back) != text {
			t.Errorf("%s became %s, %v", text, back, err)
		}
	}
	var d doc
	if err := json.Unmarshal([]byte(`{"key":"`+value+`"}`), &d); err == nil || strings.Contains(err.Error(), value) {
		t.Errorf("a literal secret gave %v", err)
	}
}
