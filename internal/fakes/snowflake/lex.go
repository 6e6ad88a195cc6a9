package snowflake

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	kindEnd    kind = iota
	kindWord        // unquoted: a keyword or an identifier, text in upper case
	kindQuoted      // "quoted": text without the quotes
	kindString      // 'text' or $$text$$: text without the quotes
	kindNumber
	kindBind // ?
	kindStage
	kindMark // punctuation
)

type token struct {
	kind kind
	text string
	pos  int // where it begins in the statement, in bytes
	end  int
}

// lex cuts a statement into tokens.
//
// https://docs.snowflake.com/en/sql-reference/identifiers-syntax
// https://docs.snowflake.com/en/sql-reference/data-types-text#string-constants
func lex(sql string) ([]token, error) {
	var tokens []token
	for i := 0; ; {
		i = skipBlank(sql, i)
		if i >= len(sql) {
			return append(tokens, token{kind: kindEnd, pos: len(sql), end: len(sql)}), nil
		}
		t, err := lexOne(sql, i, tokens)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		i = t.end
	}
}

func skipBlank(sql string, i int) int {
	for i < len(sql) {
		rest := sql[i:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(sql[i])):
			i++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"):
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				i += n + 1
			} else {
				return len(sql)
			}
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return len(sql)
			}
			i += n + 4
		default:
			return i
		}
	}
	return i
}

func lexOne(sql string, i int, before []token) (token, error) {
	rest := sql[i:]
	c, _ := utf8.DecodeRuneInString(rest)
	switch {
	case c == '\'':
		return lexString(sql, i)
	case c == '"':
		return lexQuoted(sql, i)
	case strings.HasPrefix(rest, "$$"):
		n := strings.Index(rest[2:], "$$")
		if n < 0 {
			return token{}, syntaxError(sql, i, "<EOF>")
		}
		return token{kindString, rest[2 : 2+n], i, i + n + 4}, nil
	case c == '?':
		return token{kindBind, "?", i, i + 1}, nil
	case c == '@' && stageMayFollow(before):
		n := stageEnd(rest)
		return token{kindStage, rest[1:n], i, i + n}, nil
	case c >= '0' && c <= '9':
		n := numberEnd(rest)
		return token{kindNumber, rest[:n], i, i + n}, nil
	case c == '_' || unicode.IsLetter(c):
		n := strings.IndexFunc(rest, func(r rune) bool {
			return r != '_' && r != '$' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
		if n < 0 {
			n = len(rest)
		}
		return token{kindWord, strings.ToUpper(rest[:n]), i, i + n}, nil
	}
	for _, mark := range []string{"::", ":=", "=>", "<=", ">=", "<>", "!=", "||"} {
		if strings.HasPrefix(rest, mark) {
			return token{kindMark, mark, i, i + 2}, nil
		}
	}
	if strings.ContainsRune("()[],.;:=<>+-*/%{}", c) {
		return token{kindMark, string(c), i, i + 1}, nil
	}
	return token{}, syntaxError(sql, i, string(c))
}

// lexString reads 'text': a doubled quote is a quote, and a backslash escapes.
func lexString(sql string, i int) (token, error) {
	escapes := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", 'b': "\b", 'f': "\f", '0': "\x00"}
	var text strings.Builder
	for j := i + 1; j < len(sql); j++ {
		switch {
		case sql[j] == '\\' && j+1 < len(sql):
			j++
			if plain, ok := escapes[sql[j]]; ok {
				text.WriteString(plain)
			} else {
				text.WriteByte(sql[j])
			}
		case sql[j] == '\'' && j+1 < len(sql) && sql[j+1] == '\'':
			text.WriteByte('\'')
			j++
		case sql[j] == '\'':
			return token{kindString, text.String(), i, j + 1}, nil
		default:
			text.WriteByte(sql[j])
		}
	}
	return token{}, syntaxError(sql, i, "<EOF>")
}

func lexQuoted(sql string, i int) (token, error) {
	var text strings.Builder
	for j := i + 1; j < len(sql); j++ {
		if sql[j] != '"' {
			text.WriteByte(sql[j])
			continue
		}
		if j+1 < len(sql) && sql[j+1] == '"' {
			text.WriteByte('"')
			j++
			continue
		}
		if text.Len() == 0 || utf8.RuneCountInString(text.String()) > 255 {
			return token{}, errorf(1003, "42000", "SQL compilation error:\ninvalid identifier length; an identifier has 1 to 255 characters")
		}
		return token{kindQuoted, text.String(), i, j + 1}, nil
	}
	return token{}, syntaxError(sql, i, "<EOF>")
}

func numberEnd(s string) int {
	n := 0
	for n < len(s) {
		c := s[n]
		exponent := n > 0 && (c == '+' || c == '-') && (s[n-1] == 'e' || s[n-1] == 'E')
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && !exponent {
			break
		}
		n++
	}
	return n
}

// stageMayFollow: an @ begins a stage's name where a statement names one.
func stageMayFollow(before []token) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	return last.kind == kindWord || last.kind == kindString || last.text == "("
}

// stageEnd finds where a stage's name and path end: quoted names within it may
// hold blanks.
func stageEnd(s string) int {
	quoted := false
	for i := range len(s) {
		if s[i] == '"' {
			quoted = !quoted
		}
		if !quoted && strings.IndexByte(" \t\r\n,;)", s[i]) >= 0 {
			return i
		}
	}
	return len(s)
}
