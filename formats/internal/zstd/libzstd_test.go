//go:build libzstd

package zstd

import "github.com/DataDog/zstd"

func init() {
	readers["c"] = func(frame []byte) ([]byte, error) { return zstd.Decompress(nil, frame) }
}
