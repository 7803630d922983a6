package query

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/empyrealapp/aedb-go/value"
)

// ParseExpr reads a condition such as
//
//	section = 'net' and (installed_kib > 1000 or name like 'lib%')
//
// The tests are = <> != < <= > >=, [not] in (...), [not] between ... and ...,
// [not] like '...' and is [not] null, each with the column first and literals
// after it. They are joined by not, and, or, in this order of precedence, and
// parentheses. Keywords are read in any case. Names that are not a letter or _
// followed by letters, digits, _ and -, or that are keywords, stand in double
// quotes.
//
// Literals are 'text' in which a quote is doubled, x'00ff' blobs,
// true, false, null and numbers. Whole numbers become the first of Integer,
// U64, U256 and I256 that holds them; numbers with a point or an exponent
// become Float.
//
// An error has code invalid_query and tells the byte at which it was found.
func ParseExpr(s string) (Expr, error) {
	p := parser{lexer: lexer{src: s}}
	p.next()
	e := p.disjunction()
	p.end()
	return e, p.err
}

// ParseOrder reads a list of sort keys such as "section, installed_kib desc".
// Names are written as in ParseExpr; asc is the default.
func ParseOrder(s string) ([]OrderKey, error) {
	p := parser{lexer: lexer{src: s}}
	p.next()
	var keys []OrderKey
	for p.err == nil {
		k := OrderKey{Column: p.column()}
		if p.accept("desc") {
			k.Direction = Desc
		} else {
			p.accept("asc")
		}
		keys = append(keys, k)
		if !p.accept(",") {
			break
		}
	}
	p.end()
	return keys, p.err
}

// parser is a recursive-descent parser with one token of look-ahead. After the
// first error it reads nothing but the end.
type parser struct {
	lexer
	depth int
}

// accept consumes the keyword or sign, if it is the current token.
func (p *parser) accept(word string) bool {
	if p.kind != tokenWord && p.kind != tokenSign || !strings.EqualFold(p.text, word) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(word string) {
	if !p.accept(word) {
		p.fail("expected " + word)
	}
}

func (p *parser) end() {
	if p.kind != tokenEnd {
		p.fail("expected the end")
	}
}

func (p *parser) disjunction() Expr { return p.list("or", p.conjunction, Or) }

func (p *parser) conjunction() Expr { return p.list("and", p.negation, And) }

func (p *parser) list(word string, operand func() Expr, join func(...Expr) Expr) Expr {
	operands := []Expr{operand()}
	for p.accept(word) {
		operands = append(operands, operand())
	}
	return join(operands...)
}

func (p *parser) negation() Expr {
	p.depth++
	defer func() { p.depth-- }()
	switch {
	case p.depth > MaxDepth:
		p.fail("nested too deeply")
		return Expr{}
	case p.accept("not"):
		return Not(p.negation())
	case p.accept("("):
		e := p.disjunction()
		p.expect(")")
		return e
	}
	return p.test()
}

var comparisons = []struct {
	sign string
	op   op
}{
	{"=", opEq}, {"<>", opNe}, {"!=", opNe}, {"<", opLt}, {"<=", opLte}, {">", opGt}, {">=", opGte},
}

func (p *parser) test() Expr {
	column := p.column()
	for _, c := range comparisons {
		if p.accept(c.sign) {
			return test(c.op, column, p.literal())
		}
	}
	if p.accept("is") {
		negated := p.accept("not")
		p.expect("null")
		if negated {
			return IsNotNull(column)
		}
		return IsNull(column)
	}
	negated := p.accept("not")
	e := p.membership(column)
	if negated {
		return Not(e)
	}
	return e
}

// membership reads the tests that "not" may stand before.
func (p *parser) membership(column string) Expr {
	switch {
	case p.accept("in"):
		return In(column, p.literals()...)
	case p.accept("between"):
		lo := p.literal()
		p.expect("and")
		return Between(column, lo, p.literal())
	case p.accept("like"):
		if p.kind != tokenText {
			p.fail("expected a pattern in single quotes")
		}
		pattern := p.text
		p.next()
		return Like(column, pattern)
	}
	p.fail("expected a comparison")
	return Expr{}
}

func (p *parser) literals() []value.Value {
	p.expect("(")
	var list []value.Value
	if p.accept(")") {
		return list
	}
	for p.err == nil {
		list = append(list, p.literal())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return list
}

func (p *parser) column() string {
	name := p.text
	if p.kind != tokenName && (p.kind != tokenWord || keywords[strings.ToLower(name)]) {
		p.fail("expected a column")
	}
	p.next()
	return name
}

// keywords cannot be names of columns unless they are quoted.
var keywords = map[string]bool{
	"and": true, "or": true, "not": true, "in": true, "between": true, "like": true,
	"is": true, "null": true, "true": true, "false": true,
}

func (p *parser) literal() value.Value {
	switch {
	case p.accept("null"):
		return value.Null()
	case p.accept("true"):
		return value.Bool(true)
	case p.accept("false"):
		return value.Bool(false)
	}
	v, ok := value.Null(), false
	switch p.kind {
	case tokenText:
		v, ok = value.Text(p.text), true
	case tokenNumber:
		v, ok = number(p.text)
	case tokenBlob:
		b, err := hex.DecodeString(p.text)
		v, ok = value.Blob(b), err == nil
	}
	if !ok {
		p.fail("expected a literal")
	}
	p.next()
	return v
}

func number(s string) (value.Value, bool) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		return value.Float(f), err == nil
	}
	for _, kind := range []value.Kind{value.KindInteger, value.KindU64, value.KindU256, value.KindI256} {
		if v, err := value.Parse(kind, s); err == nil {
			return v, true
		}
	}
	return value.Null(), false
}
