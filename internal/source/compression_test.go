package source

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/waybillhq/waybill"
)

func gz(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestDecompress(t *testing.T) {
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "abc"...)
	for name, c := range map[string]struct {
		file        string
		content     []byte
		compression string
		want        string
	}{
		"plain":                                {"run.jsonl", []byte(records), "", records},
		"declared plain":                       {"run.jsonl", []byte(records), "none", records},
		"empty":                                {"run.jsonl", nil, "", ""},
		"gzip by magic":                        {"run.jsonl", gz(t, records), "", records},
		"gzip by name and magic":               {"run.jsonl.gz", gz(t, records), "", records},
		"gzip declared":                        {"run", gz(t, records), "gzip", records},
		"gzip of several members":              {"run.gz", join(gz(t, `{"a":1}`+"\n"), gz(t, ""), gz(t, `{"a":2}`+"\n")), "", records},
		"gzip of nothing":                      {"run.gz", gz(t, ""), "", ""},
		"zstd by magic":                        {"run.jsonl", zst(t, records), "", records},
		"zstd declared":                        {"run.zst", zst(t, records), "zstd", records},
		"zstd of several frames":               {"run.zst", join(zst(t, `{"a":1}`+"\n"), zst(t, `{"a":2}`+"\n")), "", records},
		"zstd after a skippable frame":         {"run.zst", join(skippable, zst(t, records)), "", records},
		"named gzip, decompressed by a client": {"run.gz", []byte("\ufeff \n" + records), "", "\ufeff \n" + records},
	} {
		t.Run(name, func(t *testing.T) {
			o := folder(t, map[string][]byte{c.file: c.content})
			src := fileSource(o.FileRoot + "/" + c.file)
			src.Compression = c.compression
			r := open(t, o, src)
			text, err := io.ReadAll(r)
			if err != nil || string(text) != c.want {
				t.Errorf("read %q, %v", text, err)
			}
			if r.BytesRead() != int64(len(c.content)) {
				t.Errorf("%d of %d bytes read", r.BytesRead(), len(c.content))
			}
		})
	}
}

func TestDamaged(t *testing.T) {
	long := strings.Repeat(records, 10_000)
	flip := func(content []byte, at int) []byte {
		content = bytes.Clone(content)
		content[at] ^= 0xff
		return content
	}
	g, z := gz(t, long), zst(t, long)
	for name, c := range map[string]struct {
		file        string
		content     []byte
		compression string
		code, part  string
	}{
		"gzip cut in the header":     {"run.gz", g[:5], "", "source.truncated", "end in the middle"},
		"gzip cut in the middle":     {"run.gz", g[:len(g)/2], "", "source.truncated", "end in the middle"},
		"gzip cut in the trailer":    {"run.gz", g[:len(g)-3], "", "source.truncated", "end in the middle"},
		"gzip cut in a later member": {"run.gz", join(g, g[:20]), "", "source.truncated", "end in the middle"},
		"zstd cut in the middle":     {"run.zst", z[:len(z)/2], "", "source.truncated", "end in the middle"},
		"zstd cut in the checksum":   {"run.zst", z[:len(z)-2], "", "source.truncated", "end in the middle"},
		"gzip with a flipped bit":    {"run.gz", flip(g, len(g)-6), "", "source.corrupt", "damaged"},
		"zstd with a flipped bit":    {"run.zst", flip(z, len(z)-2), "", "source.corrupt", "damaged"},
		"gzip followed by rubbish":   {"run.gz", join(g, []byte("rubbish, and more of it")), "", "source.corrupt", "damaged"},
		"zstd followed by rubbish":   {"run.zst", join(z, []byte("rubbish, and more of it")), "", "source.corrupt", "damaged"},
		"named gzip, but empty":      {"run.gz", nil, "", "source.truncated", "not one byte"},
		"declared gzip, but empty":   {"run", nil, "gzip", "source.truncated", "not one byte"},
		"named gzip, but rubbish":    {"run.gz", []byte("rubbish"), "", "source.corrupt", "not compressed in the way"},
		"declared zstd, but gzip":    {"run", g, "zstd", "source.corrupt", "not compressed in the way"},
		"declared none, but gzip":    {"run", g, "none", "source.corrupt", "not compressed in the way"},
		"declared gzip, but plain":   {"run", []byte(records), "gzip", "source.corrupt", "not compressed in the way"},
	} {
		t.Run(name, func(t *testing.T) {
			o := folder(t, map[string][]byte{c.file: c.content})
			src := fileSource(o.FileRoot + "/" + c.file)
			src.Compression = c.compression
			_, err := read(t, o, src, "")
			wantFailure(t, err, waybill.Permanent, c.code, c.part)
		})
	}
}

func TestExpansionIsBounded(t *testing.T) {
	text := strings.Repeat("0", 8<<20)
	for name, content := range map[string][]byte{"bomb.gz": gz(t, text), "bomb.zst": zst(t, text)} {
		t.Run(name, func(t *testing.T) {
			o := folder(t, map[string][]byte{name: content})
			src := fileSource(o.FileRoot + "/" + name)

			o.Expansion, o.ExpansionFloor = 10, 1<<20
			r := open(t, o, src)
			n, err := io.Copy(io.Discard, r)
			wantFailure(t, err, waybill.Permanent, "source.too_large", "far larger")
			if limit := max(1<<20, 10*r.Size()); n > limit {
				t.Errorf("gave %d bytes, limit %d", n, limit)
			}

			o.ExpansionFloor = int64(len(text)) // exactly as much as allowed
			if got, err := read(t, o, src, ""); err != nil || len(got) != len(text) {
				t.Errorf("at the limit: %d bytes, %v", len(got), err)
			}
		})
	}
	plain := folder(t, map[string][]byte{"run.jsonl": []byte(text)})
	plain.ExpansionFloor = 1
	if got, err := read(t, plain, fileSource(plain.FileRoot+"/run.jsonl"), ""); err != nil || len(got) != len(text) {
		t.Errorf("an uncompressed source is limited: %d bytes, %v", len(got), err)
	}
}

func TestExpansionLimit(t *testing.T) {
	for name, c := range map[string]struct {
		opener Opener
		size   int64
		want   int64
	}{
		"default floor":  {Opener{}, 1, 1 << 30},
		"default ratio":  {Opener{}, 1 << 30, 200 << 30},
		"own":            {Opener{Expansion: 3, ExpansionFloor: 10}, 100, 300},
		"no overflow":    {Opener{}, 1 << 62, 1 << 62},
		"nothing stored": {Opener{ExpansionFloor: 10}, 0, 10},
	} {
		if got := c.opener.limit(c.size); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A frame says how large a window its decoder must keep; one that says too
// much is refused before the memory is taken.
func TestZstdWindowIsBounded(t *testing.T) {
	o := folder(t, map[string][]byte{"wide.zst": wideFrame()})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := read(t, o, fileSource(o.FileRoot+"/wide.zst"), "")
	runtime.ReadMemStats(&after)
	wantFailure(t, err, waybill.Permanent, "source.too_large", "a window of more than 32 MiB")
	if taken := after.TotalAlloc - before.TotalAlloc; taken > maxWindow {
		t.Errorf("%d bytes were allocated", taken)
	}
}

// wideFrame is a zstd frame with a window of 512 MiB and one raw block of four
// bytes: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1
func wideFrame() []byte {
	frame := binary.LittleEndian.AppendUint32(nil, 0xfd2fb528)
	frame = append(frame, 0x00, (29-10)<<3) // no content size; window of 2^29 bytes
	frame = append(frame, 1|4<<3, 0, 0)     // last block, raw, 4 bytes
	return append(frame, "{}\n\n"...)
}
