package formats

import "github.com/apache/arrow-go/v18/parquet/compress"

// Levels of zstd. The higher one takes half as long again and is for columns
// that are small, or that a file has little of.
const (
	fastLevel     = 1
	thoroughLevel = 3
)

// levelOf chooses the level of a column by its first values: the higher one if
// they are a small part of the records and it makes them smaller, which for
// URLs and other values with random parts it does not.
func levelOf(first *batch, column int) int {
	const share, sampled = 8, 64 << 10
	if first == nil {
		return fastLevel
	}
	c := &first.columns[column]
	var plain int64
	var sample []byte
	var word [8]byte
	for i := range c.len() {
		v := c.bytesOf(i, &word)
		plain += int64(len(v))
		if len(sample) < sampled {
			sample = append(sample, v...)
		}
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil || len(sample) == 0 || plain*share > first.plain {
		return fastLevel
	}
	fast, thorough := codec.EncodeLevel(nil, sample, fastLevel), codec.EncodeLevel(nil, sample, thoroughLevel)
	if len(thorough) < len(fast)*31/32 {
		return thoroughLevel
	}
	return fastLevel
}
