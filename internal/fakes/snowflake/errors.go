package snowflake

import (
	"fmt"
	"strings"
)

// sqlError is an error as the service reports it.
type sqlError struct {
	Number  int
	State   string // the SQL state
	Message string
}

func (e *sqlError) Error() string { return fmt.Sprintf("%06d (%s): %s", e.Number, e.State, e.Message) }

func errorf(number int, state, format string, args ...any) *sqlError {
	return &sqlError{number, state, fmt.Sprintf(format, args...)}
}

func syntaxError(sql string, pos int, near string) *sqlError {
	line := 1 + strings.Count(sql[:pos], "\n")
	column := pos - strings.LastIndex(sql[:pos], "\n") - 1
	return errorf(1003, "42000", "SQL compilation error:\nsyntax error line %d at position %d unexpected '%s'.", line, column, near)
}

// notModelled refuses what this server was not taught; the real service may
// well accept it.
func notModelled(format string, args ...any) *sqlError {
	return errorf(1003, "42000", "SQL compilation error:\nthe test server does not model "+format, args...)
}

func missing(what, name string) *sqlError {
	state := "02000"
	if what == "Object" {
		state = "42S02"
	}
	return errorf(2003, state, "SQL compilation error:\n%s '%s' does not exist or not authorized.", what, name)
}

func exists(name string) *sqlError {
	return errorf(2002, "42710", "SQL compilation error:\nObject '%s' already exists.", name)
}

func denied(what, name string) *sqlError {
	return errorf(3001, "42501", "SQL access control error:\nInsufficient privileges to operate on %s '%s'", what, name)
}

func invalidProperty(name, value string) *sqlError {
	return errorf(1420, "22023", "SQL compilation error:\ninvalid property '%s' for '%s'", name, value)
}
