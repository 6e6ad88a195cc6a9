package databricks

import (
	"context"
	"net/http"
	"sync"

	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/logger"
)

// nothingElse is in the place of the SDK's readers of the environment and of
// files: who we are is said by the fleet's configuration alone.
type nothingElse struct{}

var _ config.Loader = nothingElse{}

func (nothingElse) Name() string                   { return "nothing else" }
func (nothingElse) Configure(*config.Config) error { return nil }

// once sends each request once. The SDK repeats one whose connection broke,
// whatever its method: a rotation that took effect would be done twice, and
// the first new token with it. It knows such errors by their text alone.
type once struct{ next http.RoundTripper }

func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(r)
	if err != nil {
		return nil, &noAnswer{err}
	}
	return response, nil
}

// noAnswer is a request whose outcome is not known.
type noAnswer struct{ err error }

func (*noAnswer) Error() string   { return "the workspace gave no answer" }
func (e *noAnswer) Unwrap() error { return e.err }

// quieten keeps the SDK from printing: at its debug level, bodies, in which
// activation links stand.
var quieten = sync.OnceFunc(func() { logger.DefaultLogger = silent{} })

type silent struct{}

var _ logger.Logger = silent{}

func (silent) Enabled(context.Context, logger.Level) bool { return false }
func (silent) Tracef(context.Context, string, ...any)     {}
func (silent) Debugf(context.Context, string, ...any)     {}
func (silent) Infof(context.Context, string, ...any)      {}
func (silent) Warnf(context.Context, string, ...any)      {}
func (silent) Errorf(context.Context, string, ...any)     {}
