package snowflake

import (
	"slices"
	"strings"
)

// A scripting block is read whole before anything of it runs, so that a syntax
// error leaves nothing behind.
//
// https://docs.snowflake.com/en/developer-guide/snowflake-scripting/blocks

type block struct {
	declares []declaration
	steps    []step
	handlers []handler
}

type declaration struct {
	name      string
	typ       dataType
	value     *source // DEFAULT
	exception *exception
}

type exception struct {
	name    string
	number  int
	message string
}

type handler struct {
	names []string
	steps []step
}

// step is a statement of a block; one of its fields is set.
type step struct {
	at       token
	sql      *source
	into     []string // of SELECT … INTO
	assign   string   // the variable that value goes to
	declare  *declaration
	value    *source
	isReturn bool
	isRaise  bool
	raise    string // empty: the exception at hand
	branches []branch
	inner    *block
}

type branch struct {
	when  *source // nil: ELSE
	steps []step
}

// source is a part of the block's text.
type source struct {
	tokens []token
}

func (p *parser) cut(from, to int) *source {
	end := p.tokens[to]
	return &source{append(slices.Clone(p.tokens[from:to]), token{kind: kindEnd, pos: end.pos, end: end.pos})}
}

// until takes the tokens up to a word or a mark at this level, and that too.
func (p *parser) until(word string) *source {
	from, depth := p.at, 0
	for ; depth > 0 || !p.is(word); p.next() {
		switch {
		case p.peek().kind == kindEnd:
			p.fail()
		case p.is("("):
			depth++
		case p.is(")"):
			depth--
		}
	}
	found := p.cut(from, p.at)
	p.next()
	return found
}

// block reads [DECLARE …] BEGIN … [EXCEPTION …] END.
func (p *parser) block() *block {
	b := &block{}
	if p.accept("DECLARE") {
		for !p.is("BEGIN") {
			b.declares = append(b.declares, p.declaration())
		}
	}
	p.expect("BEGIN")
	b.steps = p.steps("EXCEPTION", "END")
	if p.accept("EXCEPTION") {
		for p.accept("WHEN") {
			h := handler{names: []string{p.ident()}}
			for p.accept("OR") {
				h.names = append(h.names, p.ident())
			}
			p.expect("THEN")
			h.steps = p.steps("WHEN", "END")
			b.handlers = append(b.handlers, h)
		}
	}
	p.expect("END")
	return b
}

// declaration reads a variable or an exception.
//
// https://docs.snowflake.com/en/developer-guide/snowflake-scripting/variables
// https://docs.snowflake.com/en/developer-guide/snowflake-scripting/exceptions
func (p *parser) declaration() declaration {
	d := declaration{name: p.ident()}
	if p.accept("EXCEPTION") {
		p.expect("(", "-")
		number := -p.number()
		if number > -20000 || number < -20999 {
			panic(errorf(1003, "42000", "SQL compilation error:\nthe number of an exception must be between -20999 and -20000"))
		}
		p.expect(",")
		d.exception = &exception{d.name, number, p.str()}
		p.expect(")", ";")
		return d
	}
	d.typ = p.dataType()
	if p.accept("DEFAULT") || p.accept(":=") {
		d.value = p.until(";")
		return d
	}
	p.expect(";")
	return d
}

func (p *parser) steps(until ...string) (all []step) {
	for !p.isOne(until...) {
		all = append(all, p.step())
	}
	if len(all) == 0 {
		p.fail()
	}
	return all
}

func (p *parser) step() step {
	st := step{at: p.peek()}
	switch {
	case p.accept("IF"):
		st.branches = p.branches()
	case p.accept("RETURN"):
		st.isReturn, st.value = true, p.until(";")
	case p.accept("RAISE"):
		st.isRaise = true
		if !p.is(";") {
			st.raise = p.ident()
		}
		p.expect(";")
	case p.accept("LET"):
		d := declaration{name: p.ident()}
		if !p.is(":=") && !p.is("DEFAULT") {
			d.typ = p.dataType()
		}
		p.oneOf(":=", "DEFAULT")
		d.value = p.until(";")
		st.declare = &d
	case p.is("DECLARE"), p.is("BEGIN") && !p.is("BEGIN", "TRANSACTION") && !p.is("BEGIN", "WORK") && !p.is("BEGIN", ";"):
		st.inner = p.block()
		p.expect(";")
	case p.isOne("FOR", "WHILE", "REPEAT", "LOOP", "CASE", "OPEN", "FETCH", "CLOSE", "AWAIT", "ASYNC", "CALL", "EXECUTE"):
		panic(notModelled("%s in a scripting block", p.peek().text))
	case p.ahead(1).kind == kindMark && p.ahead(1).text == ":=":
		st.assign = p.ident()
		p.next()
		st.value = p.until(";")
	default:
		st.sql = p.until(";")
		st.into = st.sql.takeInto(p)
	}
	return st
}

func (p *parser) branches() (all []branch) {
	condition := func() *source {
		p.expect("(")
		when := p.until(")")
		p.expect("THEN")
		return when
	}
	all = append(all, branch{condition(), p.steps("ELSEIF", "ELSE", "END")})
	for p.accept("ELSEIF") {
		all = append(all, branch{condition(), p.steps("ELSEIF", "ELSE", "END")})
	}
	if p.accept("ELSE") {
		all = append(all, branch{nil, p.steps("END")})
	}
	p.expect("END", "IF", ";")
	return all
}

// takeInto takes INTO :a, :b out of a SELECT and gives the names.
func (src *source) takeInto(p *parser) (names []string) {
	if len(src.tokens) == 0 || src.tokens[0].text != "SELECT" {
		return nil
	}
	depth := 0
	for i, t := range src.tokens {
		switch {
		case t.kind == kindMark && t.text == "(":
			depth++
		case t.kind == kindMark && t.text == ")":
			depth--
		case depth == 0 && t.kind == kindWord && t.text == "INTO":
			in := &parser{sql: p.sql, tokens: src.tokens, at: i + 1}
			for {
				in.expect(":")
				names = append(names, in.ident())
				if !in.accept(",") {
					break
				}
			}
			src.tokens = slices.Delete(slices.Clone(src.tokens), i, in.at)
			return names
		}
	}
	return nil
}

// scope holds a block's variables, each as DuckDB's text of its value.
type scope struct {
	outer      *scope
	types      map[string]dataType
	values     map[string]string
	exceptions map[string]*exception
}

func newScope(outer *scope) *scope {
	return &scope{outer: outer, types: map[string]dataType{}, values: map[string]string{}, exceptions: map[string]*exception{}}
}

func (v *scope) holder(name string) *scope {
	for at := v; at != nil; at = at.outer {
		if _, ok := at.values[name]; ok {
			return at
		}
	}
	panic(errorf(904, "42000", "SQL compilation error: error line 1 at position 0\ninvalid identifier '%s'", dotted(name)))
}

func (v *scope) literal(name string) string { return v.holder(name).values[name] }

func (v *scope) exception(name string) *exception {
	for at := v; at != nil; at = at.outer {
		if e := at.exceptions[name]; e != nil {
			return e
		}
	}
	panic(errorf(904, "42000", "SQL compilation error:\ninvalid identifier '%s'", dotted(name)))
}

// uncaught is how an error leaves a block.
func (x *failed) uncaught(sql string) *sqlError {
	line := 1 + strings.Count(sql[:x.at.pos], "\n")
	column := x.at.pos - strings.LastIndex(sql[:x.at.pos], "\n") - 1
	return errorf(x.err.Number, x.err.State, "Uncaught exception of type '%s' on line %d at position %d : %s", x.name, line, column, x.err.Message)
}
