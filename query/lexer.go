package query

import "strings"

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword or plain name
	tokenName             // name in double quotes
	tokenText             // 'text', unquoted
	tokenBlob             // x'hex', the digits
	tokenNumber           // with its sign
	tokenSign             // operator or punctuation
)

// lexer splits the text of a condition into tokens.
type lexer struct {
	src string
	pos int
	err error

	// The current token.
	at   int
	kind tokenKind
	text string
}

// fail records the first error, at the current token, and ends the input.
func (l *lexer) fail(message string) {
	if l.err == nil {
		l.err = Invalid(ReasonSyntax, "at byte %d: %s", l.at, message)
	}
	l.kind, l.text, l.pos = tokenEnd, "", len(l.src)
}

// next reads the next token.
func (l *lexer) next() {
	for l.pos < len(l.src) && strings.IndexByte(" \t\r\n", l.src[l.pos]) >= 0 {
		l.pos++
	}
	l.at = l.pos
	rest := l.src[l.at:]
	if rest == "" || l.err != nil {
		l.kind, l.text = tokenEnd, ""
		return
	}
	switch c := rest[0]; {
	case c == '\'':
		l.quoted(tokenText, rest, c)
	case c == '"':
		l.quoted(tokenName, rest, c)
	case (c == 'x' || c == 'X') && len(rest) > 1 && rest[1] == '\'':
		l.pos++
		l.quoted(tokenBlob, rest[1:], '\'')
	case isLetter(c):
		l.take(tokenWord, rest, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' })
	case isDigit(c) || c == '-':
		l.number(rest)
	default:
		n := 1
		if len(rest) > 1 {
			switch rest[:2] {
			case "<=", ">=", "<>", "!=":
				n = 2
			}
		}
		l.set(tokenSign, rest[:n], n)
	}
}

func (l *lexer) set(kind tokenKind, text string, size int) {
	l.kind, l.text = kind, text
	l.pos += size
}

func (l *lexer) take(kind tokenKind, rest string, in func(byte) bool) {
	n := 1
	for n < len(rest) && in(rest[n]) {
		n++
	}
	l.set(kind, rest[:n], n)
}

// quoted reads up to the closing quote; a doubled quote stands for one.
func (l *lexer) quoted(kind tokenKind, rest string, quote byte) {
	var text strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] == quote {
			if i+1 == len(rest) || rest[i+1] != quote {
				l.set(kind, text.String(), i+1)
				return
			}
			i++
		}
		text.WriteByte(rest[i])
	}
	l.fail("quote is not closed")
}

// number reads digits with a sign, a fraction and an exponent. Whether it makes
// sense is left to whoever converts it.
func (l *lexer) number(rest string) {
	last := rest[0]
	l.take(tokenNumber, rest, func(c byte) bool {
		ok := isDigit(c) || c == '.' || c == 'e' || c == 'E' ||
			(c == '+' || c == '-') && (last == 'e' || last == 'E')
		last = c
		return ok
	})
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
