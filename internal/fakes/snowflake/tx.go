package snowflake

import (
	"context"
	"slices"
	"time"
)

// transaction is an open transaction of a session. A statement in it reads what
// was committed before the statement began, and changes of UPDATE, DELETE and
// MERGE lock their table until the end.
//
// https://docs.snowflake.com/en/sql-reference/transactions#label-txn-isolation
//
// DuckDB reads what was committed when its transaction began, and refuses a
// change of what another one changed since. So, when something was committed in
// between, its transaction is begun anew and repeats the changes made so far:
// the locks see to it that they come out the same.
type transaction struct {
	session  *session
	id       int64
	writes   []string // in DuckDB's words
	locked   []*relation
	onCommit []func()
	files    []string // that its writes read
	seen     int      // the server's count of commits when DuckDB's transaction began
	idle     time.Time
}

// begin opens a transaction; within one, it does nothing.
func (s *session) begin() error {
	if s.tx != nil {
		return nil
	}
	s.srv.ids++
	tx := &transaction{session: s, id: s.srv.now().UnixNano() + s.srv.ids, idle: s.srv.now()}
	if err := tx.open(); err != nil {
		return err
	}
	s.tx = tx
	return nil
}

func (tx *transaction) open() error {
	tx.seen = tx.session.srv.commits
	return tx.session.duck("BEGIN TRANSACTION")
}

// refresh makes what others committed visible to the next statement.
func (tx *transaction) refresh() error {
	if tx.seen == tx.session.srv.commits {
		return nil
	}
	_ = tx.session.duck("ROLLBACK") // it may have ended by an error
	if err := tx.open(); err != nil {
		return err
	}
	for _, sql := range tx.writes {
		if err := tx.session.duck(sql); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) commit() error {
	tx := s.tx
	if tx == nil {
		return nil
	}
	err := tx.refresh()
	if err == nil {
		err = s.duck("COMMIT")
	}
	if err != nil {
		s.rollback()
		return err
	}
	s.srv.commits++
	for _, f := range tx.onCommit {
		f()
	}
	tx.end()
	return nil
}

func (s *session) rollback() {
	if s.tx == nil {
		return
	}
	_ = s.duck("ROLLBACK")
	s.tx.end()
}

// end lets go of the locks.
func (tx *transaction) end() {
	for _, r := range tx.locked {
		r.holder = nil
	}
	tx.removeFiles()
	tx.session.tx = nil
	tx.session.srv.changed.Broadcast()
}

// atomically runs a data statement: in the open transaction, or in one of its
// own (autocommit). A statement that fails leaves the open transaction as it was.
func (s *session) atomically(work func(tx *transaction) (*result, error)) (*result, error) {
	own := s.tx == nil
	if err := s.begin(); err != nil {
		return nil, err
	}
	tx := s.tx
	writes := len(tx.writes)
	r, err := work(tx)
	if s.tx != tx { // aborted while it waited
		return nil, errorf(604, "57014", "SQL execution canceled")
	}
	switch {
	case err != nil && own:
		s.rollback()
		return nil, err
	case err != nil:
		tx.writes = tx.writes[:writes]
		tx.seen = -1 // DuckDB's transaction may have ended by the error
		return nil, err
	case own:
		return r, s.commit()
	}
	return r, nil
}

// lock takes a table's lock for a transaction, or waits for it.
//
// https://docs.snowflake.com/en/sql-reference/transactions#resource-locking
func (tx *transaction) lock(r *relation) error {
	if r.holder == tx {
		return nil
	}
	srv := tx.session.srv
	since := srv.now()
	const mostWaiters = 20
	if r.holder != nil && r.waiters >= mostWaiters {
		return lockError(r, "the number of waiters for this lock exceeds the 20 statements limit.")
	}
	r.waiters++
	defer func() { r.waiters-- }()
	for r.holder != nil {
		q := tx.session.running
		switch {
		case q != nil && q.aborted, tx.session.closed:
			return errorf(604, "57014", "SQL execution canceled")
		case srv.now().Sub(since) >= tx.session.lockTimeout():
			return lockError(r, "the lock timeout was reached.")
		case srv.opts.AbortIdleAfter <= srv.now().Sub(r.holder.idle) && r.holder.session.running == nil:
			r.holder.session.rollback()
		default:
			srv.wait(10 * time.Millisecond)
		}
	}
	if tx.session.tx != tx {
		return errorf(604, "57014", "SQL execution canceled")
	}
	r.holder = tx
	tx.locked = append(tx.locked, r)
	return nil
}

func lockError(r *relation, why string) *sqlError {
	return errorf(625, "57014", "Statement '%s' has locked table '%s' in transaction %d and this lock has not yet been released.\nYour statement was aborted because %s",
		r.holder.session.lastQuery, r.name, r.holder.id, why)
}

// change runs a statement that changes a table.
func (tx *transaction) change(sql string) (int, error) {
	if err := tx.refresh(); err != nil {
		return 0, err
	}
	n, err := tx.session.duckCount(sql)
	if err != nil {
		return 0, err
	}
	tx.writes = append(tx.writes, sql)
	return n, nil
}

// define runs a DDL statement of DuckDB, outside of any transaction.
func (s *session) define(sql string) error {
	if _, err := s.srv.admin.ExecContext(context.Background(), sql); err != nil {
		return translated(err)
	}
	s.srv.commits++
	return nil
}

func (s *session) duck(sql string) error {
	_, err := s.duckCount(sql)
	return err
}

func (s *session) duckCount(sql string) (int, error) {
	done, err := s.conn.ExecContext(context.Background(), sql)
	if err != nil {
		return 0, translated(err)
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// duckQuery reads a query's result. DuckDB's driver hands JSON over decoded;
// such columns are asked for again as text.
func (s *session) duckQuery(sql string) (*result, error) {
	r, err := s.duckRead(sql, nil)
	if err != nil || !slices.ContainsFunc(r.columns, func(c column) bool { return c.typ.wire == "variant" }) {
		return r, err
	}
	return s.duckRead(asText(sql, r.columns), r.columns)
}
