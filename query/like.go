package query

import (
	"strings"
	"unicode/utf8"

	"github.com/empyrealapp/aedb-go/value"
)

// pattern is a compiled LIKE pattern: bytes that stand for themselves, and two
// signs that no byte can be.
type pattern []int16

const (
	anyRune int16 = -1
	anyRun  int16 = -2
)

func compileLike(s string) pattern {
	p := make(pattern, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if len(p) == 0 || p[len(p)-1] != anyRun {
				p = append(p, anyRun)
			}
		case c == '_':
			p = append(p, anyRune)
		case c == '\\' && i+1 < len(s):
			i++
			p = append(p, int16(s[i]))
		default:
			p = append(p, int16(c))
		}
	}
	return p
}

// set returns the texts that begin with the literal prefix of the pattern, as
// values of the kind. It is exact if these are all that match.
func (p pattern) set() (list []Interval, exact bool) {
	var prefix strings.Builder
	rest := p
	for len(rest) > 0 && rest[0] >= 0 {
		prefix.WriteByte(byte(rest[0]))
		rest = rest[1:]
	}
	low := Bound{Value: value.Text(prefix.String())}
	if len(rest) == 0 {
		return []Interval{{low, low}}, true
	}
	exact = len(rest) == 1 && rest[0] == anyRun
	high := Bound{}
	if end := value.PrefixEnd([]byte(prefix.String())); end != nil {
		high = Bound{Value: value.Text(string(end)), Open: true}
	}
	return []Interval{{low, high}}, exact
}

// match reports whether the whole text matches. After a failure it goes back to
// the last run only, and lets it take one more character: what an earlier run
// could take as well, the last one can.
func (p pattern) match(s string) bool {
	at, run, resume := 0, -1, 0
	for i := 0; ; {
		switch {
		case at < len(p) && p[at] == anyRun:
			run, resume = at, i
			at++
			continue
		case at < len(p) && i < len(s) && p[at] == anyRune:
			i += runeLen(s[i:])
			at++
			continue
		case at < len(p) && i < len(s) && p[at] == int16(s[i]):
			i++
			at++
			continue
		case at == len(p) && i == len(s):
			return true
		}
		if run < 0 || resume == len(s) {
			return false
		}
		resume += runeLen(s[resume:])
		i, at = resume, run+1
	}
}

func runeLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}
