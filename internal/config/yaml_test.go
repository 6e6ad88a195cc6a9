package config

import (
	"os"
	"strings"
	"testing"

	"github.com/waybillhq/waybill"
)

func TestParseYAMLIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"too large":        {strings.Repeat("#", MaxDocumentBytes+1), "f: is larger than 1048576 bytes"},
		"brackets":         {"a: 1\nb: " + strings.Repeat("[", 500_000), "f:2: brackets stand more than 64 deep"},
		"braces":           {strings.Repeat("{a: ", 200_000), "f:1: brackets stand more than 64 deep"},
		"nothing to close": {"]", "f:1: is not YAML"},
	} {
		_, err := ParseYAML("f", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %q", name, err, c.want)
		}
	}
}

func TestDeepIndentationIsNoFault(t *testing.T) {
	var b strings.Builder
	for depth := range 500 {
		b.WriteString(strings.Repeat(" ", depth) + "a:\n")
	}
	docs, err := ParseYAML("f", []byte(b.String()))
	if err != nil || len(docs) != 1 {
		t.Fatal(len(docs), err)
	}
	c := Default()
	if p := docs[0].Decode(&c); len(p) != 1 || !strings.Contains(p[0].Message, "is not a key here") {
		t.Error(p)
	}
}

func TestDocuments(t *testing.T) {
	docs, err := ParseYAML("f", []byte("---\n# only a comment\n---\nbrand: a\n---\n\n---\nbrand: b # ---\n--- {brand: c}\n...\n---"))
	if err != nil || len(docs) != 3 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	for i, want := range []string{"a", "b", "c"} {
		var c Config
		if p := docs[i].Decode(&c); p != nil || c.Brand != want {
			t.Errorf("document %d: %q, %v", i, c.Brand, p)
		}
	}
	if p := docs[1].Locate(waybill.Problems{{Field: "brand", Message: "m"}}); p[0].Field != "f:8: brand" {
		t.Errorf("located at %q", p[0].Field)
	}
}

func TestProblemsOfAllDocuments(t *testing.T) {
	docs, err := ParseYAML("f", []byte("a: 1\na: 2\n---\nbrand: a\n---\n\nb: \"\n"))
	if len(docs) != 1 || err == nil || !strings.HasPrefix(err.Error(), "f:2: is not YAML: mapping key") || !strings.Contains(err.Error(), "; f:7: is not YAML: ") {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}

func TestScalarsStayAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"brand: 0123":                 "0123",
		"brand: 1e3":                  "1e3",
		`brand: "true"`:               "true",
		"brand: yes":                  "yes",
		"brand: |\n  x":               "x",
		"brand: 2025-01-15T10:30:00Z": "2025-01-15T10:30:00Z",
	} {
		docs, err := ParseYAML("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var c Config
		if p := docs[0].Decode(&c); p != nil || c.Brand != want {
			t.Errorf("%q gave %q, %v", text, c.Brand, p)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "12": 12, "3 B": 3, "5KiB": 5 << 10, "64 MiB": 64 << 20, "1GiB": 1 << 30} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d, %v", text, b, err)
		}
		var back Bytes
		if err := back.UnmarshalText([]byte(want.String())); err != nil || back != want {
			t.Errorf("%d became %q, read as %d, %v", want, want, back, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5GiB", "64MB", "GiB", "9999999999GiB", "1 2"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

// Whatever a person writes, it is read or refused.
func FuzzConfig(f *testing.F) {
	for _, pattern := range []string{"testdata/*.good.yml", "testdata/*.bad.yml"} {
		for _, file := range glob(f, pattern) {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, err := ParseYAML("f", text)
		if _, ok := err.(waybill.Problems); err != nil && !ok {
			t.Fatalf("error is %T", err)
		}
		for _, doc := range docs {
			c := Default()
			doc.Locate(append(doc.Decode(&c), c.Validate()...))
		}
	})
}
