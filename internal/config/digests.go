package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
)

// ownSettings may differ between the processes of one fleet: how each logs,
// what it shows, and by which of its addresses it reaches Redis.
var ownSettings = []string{"log.", "monitoring.", "redis."}

// Digests are the settings in which the processes of a fleet must agree, each
// as a digest of its value. Of a secret there is its reference.
func (c Config) Digests() map[string]string {
	digests := map[string]string{}
	eachSetting("", reflect.ValueOf(&c).Elem(), func(path string, _ reflect.StructField, v reflect.Value) {
		for _, own := range ownSettings {
			if strings.HasPrefix(path, own) {
				return
			}
		}
		digests[path] = Digest(v.Interface())
	})
	return digests
}

// Digest is a short digest of a value that is no secret, for a comparison.
func Digest(v any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", v))
	return hex.EncodeToString(sum[:8])
}
