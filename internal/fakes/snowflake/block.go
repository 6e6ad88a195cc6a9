package snowflake

import (
	"slices"
	"strconv"
	"strings"
)

// blockRun is a scripting block under way.
type blockRun struct {
	s        *session
	p        *parser // the block's text
	returned *result
	handling *failed // in an exception handler
}

// failed is an exception under way.
type failed struct {
	name string // of the exception, or STATEMENT_ERROR, EXPRESSION_ERROR
	at   token
	err  *sqlError
}

func (x *failed) Error() string { return x.err.Error() }

// block runs the scripting block that the parser stands at.
func (s *session) block(p *parser) (*result, error) {
	if i := slices.IndexFunc(p.tokens, func(t token) bool { return t.kind == kindBind }); i >= 0 || len(p.binds) > 0 {
		return nil, errorf(1003, "42601", "SQL compilation error:\nunexpected unnamed bind in sql")
	}
	b := p.block()
	p.end()
	before := s.tx
	run := &blockRun{s: s, p: p}
	globals := newScope(nil)
	globals.set("SQLROWCOUNT", numberType(38, 0), "NULL")
	err := run.block(b, globals)
	if s.tx != nil && s.tx != before {
		// https://docs.snowflake.com/en/sql-reference/transactions#label-scoped-transactions
		s.rollback()
		if err == nil {
			err = errorf(90232, "22000", "Scoped transaction started in stored procedure is incomplete and it was rolled back.")
		}
	}
	if x, ok := err.(*failed); ok {
		return nil, x.uncaught(p.sql)
	}
	if err != nil {
		return nil, err
	}
	if run.returned == nil {
		run.returned = &result{columns: []column{{typ: textType(maxLength)}}, rows: [][]*string{{nil}}}
	}
	run.returned.columns[0].name, run.returned.typeID = "anonymous block", typeOther
	return run.returned, nil
}

// immediate runs EXECUTE IMMEDIATE 'text'.
//
// https://docs.snowflake.com/en/sql-reference/sql/execute-immediate
func (s *session) immediate(p *parser) (*result, error) {
	text := p.str()
	p.end()
	inner, err := newParser(text, nil)
	if err != nil {
		return nil, err
	}
	return s.statement(inner, nil)
}

func (v *scope) set(name string, typ dataType, value string) {
	v.types[name], v.values[name] = typ, value
}

func (run *blockRun) block(b *block, outer *scope) error {
	vars := newScope(outer)
	for _, d := range b.declares {
		if err := run.declare(&d, vars); err != nil {
			return err
		}
	}
	err := run.steps(b.steps, vars)
	x, ok := err.(*failed)
	if !ok || x.err.Number == 604 || run.s.closed {
		return err // a canceled statement ends the block
	}
	for _, h := range b.handlers {
		if !slices.Contains(h.names, x.name) && !slices.Contains(h.names, "OTHER") {
			continue
		}
		inner := newScope(vars)
		inner.set("SQLCODE", numberType(38, 0), "("+strconv.Itoa(x.err.Number)+")")
		inner.set("SQLERRM", textType(maxLength), quoteText(x.err.Message))
		inner.set("SQLSTATE", textType(5), quoteText(x.err.State))
		outside := run.handling
		run.handling = x
		err = run.steps(h.steps, inner)
		run.handling = outside
		return err
	}
	return err
}

func (run *blockRun) steps(steps []step, vars *scope) error {
	for _, st := range steps {
		err := run.step(st, vars)
		if err == nil && run.returned != nil {
			return nil
		}
		switch e := err.(type) {
		case nil:
		case *sqlError:
			name := "STATEMENT_ERROR"
			if st.sql == nil {
				name = "EXPRESSION_ERROR"
			}
			return &failed{name, st.at, e}
		default:
			return err
		}
	}
	return nil
}

func (run *blockRun) step(st step, vars *scope) (err error) {
	defer caught(&err)
	switch {
	case st.sql != nil:
		return run.sql(st, vars)
	case st.branches != nil:
		return run.branch(st, vars)
	case st.inner != nil:
		return run.block(st.inner, vars)
	case st.declare != nil:
		return run.declare(st.declare, vars)
	case st.isRaise && st.raise == "":
		if run.handling == nil {
			return errorf(1003, "42000", "SQL compilation error:\nRAISE without an exception outside of an exception handler")
		}
		return run.handling
	case st.isRaise:
		e := vars.exception(st.raise)
		return &failed{e.name, st.at, errorf(e.number, "P0001", "%s", e.message)}
	case st.isReturn:
		run.returned, err = run.value(st.value, vars)
		return err
	}
	r, err := run.value(st.value, vars)
	if err != nil {
		return err
	}
	holder := vars.holder(st.assign)
	return run.assign(holder, st.assign, holder.types[st.assign], r)
}

// sql runs a statement of the block; SQLROWCOUNT is what it changed.
func (run *blockRun) sql(st step, vars *scope) error {
	s := run.s
	p := &parser{sql: run.p.sql, tokens: st.sql.tokens}
	text := p.source(trimSemicolon(p.tokens[:len(p.tokens)-1]))
	if p.isOne("BEGIN", "START") && s.tx != nil {
		return notModelled("a transaction in a block within another one")
	}
	after, err := s.srv.inner(s, text)
	if err != nil {
		return err
	}
	if s.closed || s.running.aborted {
		return errorf(604, "57014", "SQL execution canceled")
	}
	r, err := s.statement(p, vars)
	if err == nil {
		err = after()
	}
	if err != nil {
		return err
	}
	if r.typeID >= typeDML && r.typeID <= typeCopy {
		vars.holder("SQLROWCOUNT").set("SQLROWCOUNT", numberType(38, 0), "("+strconv.Itoa(r.changed)+")")
	}
	return run.into(st, vars, r)
}

func (run *blockRun) into(st step, vars *scope, r *result) error {
	if len(st.into) == 0 {
		return nil
	}
	if len(r.rows) > 1 {
		return errorf(90150, "22000", "A SELECT INTO statement expects exactly 1 returned row, but got %d.", len(r.rows))
	}
	if len(st.into) != len(r.columns) {
		return errorf(90151, "22000", "A SELECT INTO statement expects %d columns, but got %d.", len(st.into), len(r.columns))
	}
	for i, name := range st.into {
		holder := vars.holder(name)
		one := &result{columns: r.columns[i : i+1], rows: [][]*string{{nil}}}
		if len(r.rows) == 1 {
			one.rows[0][0] = r.rows[0][i]
		}
		if err := run.assign(holder, name, holder.types[name], one); err != nil {
			return err
		}
	}
	return nil
}

func (run *blockRun) branch(st step, vars *scope) error {
	for _, b := range st.branches {
		if b.when != nil {
			r, err := run.value(b.when, vars)
			if err != nil {
				return err
			}
			if v := r.rows[0][0]; v == nil || *v != "1" {
				continue
			}
		}
		return run.steps(b.steps, newScope(vars))
	}
	return nil
}

func (run *blockRun) declare(d *declaration, vars *scope) error {
	if d.exception != nil {
		vars.exceptions[d.name] = d.exception
		return nil
	}
	vars.set(d.name, d.typ, "NULL")
	if d.value == nil {
		return nil
	}
	r, err := run.value(d.value, vars)
	if err != nil {
		return err
	}
	if d.typ.duck == "" {
		d.typ = r.columns[0].typ
	}
	return run.assign(vars, d.name, d.typ, r)
}

// assign gives a variable a value, as its type.
func (run *blockRun) assign(in *scope, name string, typ dataType, r *result) error {
	literal := "NULL"
	if len(r.rows) > 0 {
		literal = r.columns[0].literal(r.rows[0][0])
	}
	in.set(name, typ, "CAST("+literal+" AS "+typ.duck+")")
	return nil
}

// value works out an expression of the block.
func (run *blockRun) value(src *source, vars *scope) (*result, error) {
	p := &parser{sql: run.p.sql, tokens: src.tokens}
	t := run.s.translator(p, vars)
	t.bare = true
	sql := t.convert(";")
	if strings.TrimSpace(sql) == "" {
		p.fail()
	}
	if tx := run.s.tx; tx != nil {
		if err := tx.refresh(); err != nil {
			return nil, err
		}
	}
	return run.s.duckQuery("SELECT " + sql)
}
