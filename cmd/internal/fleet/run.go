package fleet

import (
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/waybillhq/waybill"
)

// ResolveSource makes a source that is a relative path, or an absolute one
// without a scheme, the file below dir that it means.
func ResolveSource(run *waybill.Run, dir string) error {
	u, err := url.Parse(run.Source.URI)
	if err != nil {
		return fmt.Errorf("source.uri: %w", err)
	}
	if u.Scheme != "" {
		return nil
	}
	path := run.Source.URI
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, filepath.FromSlash(path))
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("resolve source %s: %w", path, err)
	}
	run.Source.URI = (&url.URL{Scheme: "file", Path: abs}).String()
	return nil
}
