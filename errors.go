package waybill

import "errors"

// What keeps things answers with these, so that who asks need not know what
// keeps them.
var (
	// ErrNotFound means: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrIDUsed means: the id belongs to another team, or to something deleted.
	ErrIDUsed = errors.New("the id is or was in use; ids are never used again")
	// ErrChanged means: it is no longer what the caller read; read it again.
	ErrChanged = errors.New("it was changed meanwhile")
	// ErrUnavailable means: it cannot be kept safely just now, and nobody is
	// told that it is; the same again, later, is safe and succeeds.
	ErrUnavailable = errors.New("it cannot be kept safely just now")
)
