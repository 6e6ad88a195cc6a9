package formats

import "github.com/apache/arrow-go/v18/parquet/compress"

// Levels of zstd. The higher one takes half as long again and is for columns
// that are small, or that a file has little of.
const (
	fastLevel     = 1
	thoroughLevel = 3
)

// levelOf chooses the level of a column by its first values. Texts get the
// higher one if they are a small part of the records and it makes them smaller,
// which for URLs and other texts with random parts it does not.
func levelOf(spec columnSpec, first *batch, column int) int {
	if spec.cast != castText && spec.cast != castJSON {
		return thoroughLevel
	}
	const share, sampled = 8, 64 << 10
	if first == nil {
		return fastLevel
	}
	var plain int64
	var sample []byte
	for _, v := range first.columns[column].text {
		plain += int64(len(v)) + 4
		if len(sample) < sampled {
			sample = append(append(sample, v...), 0)
		}
	}
	if plain*share > first.plain || len(sample) == 0 {
		return fastLevel
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		return fastLevel
	}
	fast, thorough := codec.EncodeLevel(nil, sample, fastLevel), codec.EncodeLevel(nil, sample, thoroughLevel)
	if len(thorough) < len(fast)*31/32 {
		return thoroughLevel
	}
	return fastLevel
}
