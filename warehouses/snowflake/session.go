package snowflake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/snowflakedb/gosnowflake"
)

// rows are a statement's result, read whole: no statement of ours has a large one.
type rows struct {
	columns []string // lower-case
	values  [][]sql.NullString
}

// at returns a column of a row by its name, and "" where there is none.
func (r rows) at(row int, column string) string {
	if i := slices.Index(r.columns, column); i >= 0 {
		return r.values[row][i].String
	}
	return ""
}

// find returns the first row whose column has the value, or -1.
func (r rows) find(column, value string) int {
	for i := range r.values {
		if r.at(i, column) == value {
			return i
		}
	}
	return -1
}

// WithTag makes the statements of a context carry a text, such as the
// delivery's id, by which they are found in the account's query history.
// https://docs.snowflake.com/en/sql-reference/parameters#query-tag
func WithTag(ctx context.Context, tag string) context.Context {
	return gosnowflake.WithQueryTag(ctx, tag)
}

// query sends one statement and reads its result, if it has one: COPY and DDL
// have one too. A session that has gone on the server stays in the pool of its
// own accord, and so it is thrown out here and the statement, which was not
// looked at, is sent in another.
func (a *Account) query(ctx context.Context, text string, binds ...any) (rows, error) {
	out, err := a.queryOnce(ctx, text, binds)
	for tries := 0; sessionGone(err) && tries < a.db.Stats().MaxOpenConnections; tries++ {
		out, err = a.queryOnce(ctx, text, binds)
	}
	return out, err
}

func (a *Account) queryOnce(ctx context.Context, text string, binds []any) (rows, error) {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return rows{}, err
	}
	out, err := read(ctx, conn, text, binds)
	if sessionGone(err) {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close() // only gives it back to the pool
	return out, err
}

func read(ctx context.Context, conn *sql.Conn, text string, binds []any) (out rows, err error) {
	result, err := conn.QueryContext(ctx, text, binds...)
	if err != nil {
		return rows{}, err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	if out.columns, err = result.Columns(); err != nil {
		return rows{}, err
	}
	for i, c := range out.columns {
		out.columns[i] = strings.ToLower(c)
	}
	for result.Next() {
		values := make([]sql.NullString, len(out.columns))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := result.Scan(into...); err != nil {
			return rows{}, err
		}
		out.values = append(out.values, values)
	}
	return out, result.Err()
}

// number is the one value of a result.
func (r rows) number(statement string) (int64, error) {
	if len(r.values) != 1 || len(r.values[0]) == 0 {
		return 0, fmt.Errorf("%s: %d rows, want one", statement, len(r.values))
	}
	n, err := strconv.ParseInt(r.values[0][0].String, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", statement, err)
	}
	return n, nil
}

// integer and boolean read what the caller's own statement selected as such.
func (r rows) integer(row int, column string) int64 {
	n, _ := strconv.ParseInt(r.at(row, column), 10, 64)
	return n
}

func (r rows) boolean(row int, column string) bool {
	return slices.Contains([]string{"1", "true", "TRUE"}, r.at(row, column))
}
