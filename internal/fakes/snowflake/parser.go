package snowflake

import (
	"slices"
	"strconv"
	"strings"
)

// parser walks the tokens of a statement. The first thing that does not fit
// stops it with a syntax error, by panic and [parser.caught].
type parser struct {
	sql    string
	tokens []token
	at     int
	binds  []bind // one for each ?, in order
	used   int    // how many of them were taken
}

func newParser(sql string, binds []bind) (*parser, error) {
	tokens, err := lex(sql)
	if err != nil {
		return nil, err
	}
	return &parser{sql: sql, tokens: tokens, binds: binds}, nil
}

// caught turns the panic of a parser's refusal into an error.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case *sqlError:
		*err = r
	default:
		panic(r)
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != kindEnd {
		p.at++
	}
	return t
}

func (p *parser) ahead(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) fail() { panic(p.unexpected()) }

// unexpected is the syntax error of what comes next.
func (p *parser) unexpected() error {
	t := p.peek()
	near := p.sql[t.pos:t.end]
	if t.kind == kindEnd {
		near = "<EOF>"
	}
	return syntaxError(p.sql, t.pos, near)
}

// is tells whether the given keywords, or a mark, come next.
func (p *parser) is(words ...string) bool {
	for i, word := range words {
		t := p.ahead(i)
		if (t.kind != kindWord && t.kind != kindMark) || t.text != word {
			return false
		}
	}
	return true
}

func (p *parser) isOne(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return p.is(w) })
}

// accept takes the given keywords if they come next.
func (p *parser) accept(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	p.at += len(words)
	return true
}

func (p *parser) expect(words ...string) {
	for _, word := range words {
		if !p.accept(word) {
			p.fail()
		}
	}
}

// oneOf takes one of the keywords and says which.
func (p *parser) oneOf(words ...string) string {
	for _, word := range words {
		if p.accept(word) {
			return word
		}
	}
	p.fail()
	return ""
}

// end refuses what follows a complete statement.
func (p *parser) end() {
	p.accept(";")
	if p.peek().kind != kindEnd {
		p.fail()
	}
}

func (p *parser) ident() string {
	t := p.peek()
	if t.kind != kindQuoted && (t.kind != kindWord || reserved[t.text]) {
		p.fail()
	}
	p.next()
	return t.text
}

// name reads a.b.c, or IDENTIFIER('a.b.c') of a text or a bind.
func (p *parser) name() []string {
	if p.accept("IDENTIFIER", "(") {
		text := p.str()
		p.expect(")")
		inner, err := newParser(text, nil)
		if err != nil {
			panic(err)
		}
		name := inner.name()
		inner.end()
		return name
	}
	parts := []string{p.ident()}
	for p.accept(".") {
		parts = append(parts, p.ident())
	}
	if len(parts) > 3 {
		p.fail()
	}
	return parts
}

// str reads a text, or a bind that holds one.
func (p *parser) str() string {
	switch t := p.next(); t.kind {
	case kindString:
		return t.text
	case kindBind:
		b := p.bind()
		if b.value == nil {
			panic(errorf(1003, "22023", "SQL compilation error:\na text is expected, the bind is NULL"))
		}
		return *b.value
	default:
		p.at--
		p.fail()
		return ""
	}
}

func (p *parser) bind() bind {
	if p.used >= len(p.binds) {
		panic(errorf(2049, "42601", "SQL compilation error: error line 1 at position %d\nBind variable ? not set.", p.peek().pos))
	}
	p.used++
	return p.binds[p.used-1]
}

func (p *parser) boolean() bool {
	return p.oneOf("TRUE", "FALSE") == "TRUE"
}

func (p *parser) number() int {
	t := p.next()
	n, err := strconv.Atoi(t.text)
	if t.kind != kindNumber || err != nil {
		p.at--
		p.fail()
	}
	return n
}

// ifNotExists, ifExists and orReplace read the usual clauses.
func (p *parser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }
func (p *parser) ifExists() bool    { return p.accept("IF", "EXISTS") }

// comment reads [COMMENT [=] 'text'].
func (p *parser) comment(into *string) bool {
	if !p.accept("COMMENT") {
		return false
	}
	p.accept("=")
	*into = p.str()
	return true
}

// rest gives the remaining tokens and ends the statement.
func (p *parser) rest() []token {
	rest := p.tokens[p.at : len(p.tokens)-1]
	p.at = len(p.tokens) - 1
	return trimSemicolon(rest)
}

func trimSemicolon(tokens []token) []token {
	if n := len(tokens); n > 0 && tokens[n-1].kind == kindMark && tokens[n-1].text == ";" {
		return tokens[:n-1]
	}
	return tokens
}

// source is the text that some tokens stand for.
func (p *parser) source(tokens []token) string {
	if len(tokens) == 0 {
		return ""
	}
	return p.sql[tokens[0].pos:tokens[len(tokens)-1].end]
}

// dotted writes a name as SHOW and error messages do.
func dotted(parts ...string) string {
	quoted := make([]string, len(parts))
	for i, part := range parts {
		quoted[i] = part
		if !plainName.MatchString(part) {
			quoted[i] = `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
		}
	}
	return strings.Join(quoted, ".")
}
