package formats

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// Levels of zstd. The higher one takes twice as long and is for columns that
// are small, or that a file has little of.
const (
	fastLevel     = 1
	thoroughLevel = 3
)

// levelOf chooses the level of a column by its first values: the higher one if
// they are a small part of the records and it makes them smaller, which for
// URLs and other values with random parts it does not. Of numbers it makes
// more: they repeat whole or not at all.
func levelOf(first *batch, column int) int {
	const share, sampled = 8, 64 << 10
	if first == nil {
		return fastLevel
	}
	c := &first.columns[column]
	if len(c.text) == 0 && len(c.micros) == 0 {
		return fastLevel
	}
	var plain int64
	var sample []byte // a page
	var word [8]byte
	for i := range c.len() {
		v := c.bytesOf(i, &word)
		plain += int64(len(v))
		if len(sample) >= sampled {
			continue
		}
		if len(c.text) > 0 {
			sample = binary.LittleEndian.AppendUint32(sample, uint32(len(v)))
		}
		sample = append(sample, v...)
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil || len(sample) == 0 || plain*share > first.plain {
		return fastLevel
	}
	fast, thorough := codec.EncodeLevel(nil, sample, fastLevel), codec.EncodeLevel(nil, sample, thoroughLevel)
	if len(thorough) < len(fast)*15/16 {
		return thoroughLevel
	}
	return fastLevel
}
