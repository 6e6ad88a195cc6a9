package formats

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/parquet/compress"
)

// Levels of zstd, which take as long as each other: they look for what repeats
// from five, seven and eight bytes on.
const (
	valuesLevel = iota
	textsLevel
	wordsLevel
)

// levelOf chooses the level of a column by its first values: the one for words
// if it makes texts smaller, or a little larger, since a page, which is longer,
// has more that repeats.
func levelOf(first *batch, column int) int {
	const sampled = 384 << 10 // a page
	if first == nil || len(first.columns[column].text) == 0 {
		return valuesLevel
	}
	c := &first.columns[column]
	var sample []byte
	var word [8]byte
	for i := 0; i < c.len() && len(sample) < sampled; i++ {
		v := c.bytesOf(i, &word)
		sample = append(binary.LittleEndian.AppendUint32(sample, uint32(len(v))), v...)
	}
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil || len(sample) == 0 {
		return textsLevel
	}
	texts, words := codec.EncodeLevel(nil, sample, textsLevel), codec.EncodeLevel(nil, sample, wordsLevel)
	if len(words) <= len(texts)*33/32 {
		return wordsLevel
	}
	return textsLevel
}
