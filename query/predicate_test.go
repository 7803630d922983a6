package query

import (
	"math"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/value"
)

func big(n uint64) value.Value { return value.U256(uint256.NewInt(n)) }

func wide(n int64) value.Value {
	v := uint256.NewInt(uint64(n))
	if n < 0 {
		v = new(uint256.Int).Neg(uint256.NewInt(uint64(-n)))
	}
	return value.I256(v)
}

func TestConditionsFollowTheNullTable(t *testing.T) {
	null := value.Null()
	one := func(e Expr, cell value.Value) Truth {
		p, err := Bind(e, columns{{Name: "x", Kind: value.KindInteger}})
		require.NoError(t, err)
		return p.Eval(func(int) value.Value { return cell })
	}
	cases := []struct {
		name          string
		e             Expr
		null, five, n Truth // for Null, 5 and 6
	}{
		{"eq", Eq("x", 5), Unknown, True, False},
		{"ne", Ne("x", 5), Unknown, False, True},
		{"lt", Lt("x", 6), Unknown, True, False},
		{"gte", Gte("x", 6), Unknown, False, True},
		{"eq null", Eq("x", null), Unknown, Unknown, Unknown},
		{"ne null", Ne("x", null), Unknown, Unknown, Unknown},
		{"lt null", Lt("x", null), Unknown, Unknown, Unknown},
		{"between", Between("x", 1, 5), Unknown, True, False},
		{"between null low", Between("x", null, value.Int(5)), Unknown, Unknown, False},
		{"between null high", Between("x", value.Int(6), null), Unknown, False, Unknown},
		{"between nulls", Between("x", null, null), Unknown, Unknown, Unknown},
		{"between reversed", Between("x", 9, 1), Unknown, False, False},
		{"in", In("x", 5, 7), Unknown, True, False},
		{"in with null", In("x", value.Int(5), null), Unknown, True, Unknown},
		{"in nothing", In[int]("x"), False, False, False},
		{"is null", IsNull("x"), True, False, False},
		{"is not null", IsNotNull("x"), False, True, True},
		{"not of unknown", Not(Eq("x", 5)), Unknown, False, True},
		{"not of in nothing", Not(In[int]("x")), True, True, True},
		{"and: false wins", And(Eq("x", null), Eq("x", 5)), Unknown, Unknown, False},
		{"or: true wins", Or(Eq("x", null), Eq("x", 5)), Unknown, True, Unknown},
		{"nan is incomparable", Lt("x", math.NaN()), Unknown, Unknown, Unknown},
		{"no exact image", Eq("x", 5.5), Unknown, False, False},
		{"above a fraction", Gt("x", 5.5), Unknown, False, True},
		{"below infinity", Lt("x", math.Inf(1)), Unknown, True, True},
		{"true", Expr{}, True, True, True},
		{"false", Or(), False, False, False},
		{"not true", Not(Expr{}), False, False, False},
	}
	for _, c := range cases {
		require.Equal(t, c.null, one(c.e, null), "%s: Null", c.name)
		require.Equal(t, c.five, one(c.e, value.Int(5)), "%s: 5", c.name)
		require.Equal(t, c.n, one(c.e, value.Int(6)), "%s: 6", c.name)
	}
}

func TestNumbersOfDifferentKindsCompareExactly(t *testing.T) {
	holds := func(column value.Kind, cell value.Value, e Expr) {
		p, err := Bind(e, columns{{Name: "x", Kind: column}})
		require.NoError(t, err)
		require.Equal(t, True, p.Eval(func(int) value.Value { return cell }), "%s", column)
	}
	holds(value.KindInteger, value.Int(-1), Lt("x", uint64(0)))
	holds(value.KindU64, value.U64(0), Gt("x", -1))
	holds(value.KindU64, value.U64(1<<63), Gt("x", int64(math.MaxInt64)))
	holds(value.KindU64, value.U64(9007199254740993), Ne("x", 9007199254740992.0))
	holds(value.KindFloat, value.Float(9007199254740992), Lt("x", uint64(9007199254740993)))
	holds(value.KindI256, wide(-1), Lt("x", wide(1)))
	holds(value.KindU256, value.U256(new(uint256.Int).SetAllOne()), Gt("x", 1))
	for _, five := range []value.Value{value.Int(5), value.U8(5), value.U64(5), value.Timestamp(5), value.Float(5)} {
		holds(value.KindTimestamp, value.Timestamp(5), Eq("x", five))
	}
	holds(value.KindU256, big(5), Eq("x", value.Timestamp(5)))
	holds(value.KindFloat, value.Float(0), Eq("x", math.Copysign(0, -1)))
	holds(value.KindJSON, value.JSON(`"a"`), Eq("x", `"a"`))
}

func TestLikeMatchesRunesAndHonoursTheEscape(t *testing.T) {
	cases := []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"%", "", true}, {"%", "abc", true},
		{"a%", "abc", true}, {"a%", "ba", false}, {"%c", "abc", true}, {"a%c", "abbc", true}, {"a%c", "abcd", false},
		{"_", "é", true}, {"_", "ab", false}, {"%__", "€", false}, {"_€_", "a€b", true}, {"%_é", "né", true},
		{`\%`, "%", true}, {`\%`, "a", false}, {`a\_b`, "a_b", true}, {`a\_b`, "axb", false}, {`\\`, `\`, true}, {`\`, `\`, true},
		{"A", "a", false}, {"%a%b%", "xaxbx", true}, {"%aab", "aaaab", true}, {"a%%%b", "ab", true}, {"u1%7%", "u17", true},
	}
	for _, c := range cases {
		p, err := Bind(Like("s", c.pattern), columns{{Name: "s", Kind: value.KindText}})
		require.NoError(t, err)
		got := p.Eval(func(int) value.Value { return value.Text(c.text) })
		require.Equal(t, c.want, got == True, "%q like %q", c.text, c.pattern)
	}
}

func TestEvaluationDoesNotAllocate(t *testing.T) {
	e := And(Or(Eq("Integer", 7), Like("Text", "%x_z")), In("U64", 1, 2, 3), Not(Between("Float", 1, 2)), Ne("U256", 1))
	p, err := Bind(e, every)
	require.NoError(t, err)
	row := make([]value.Value, len(every))
	row[3], row[8], row[2], row[7], row[4] = value.Int(1), value.Text("abxyz"), value.U64(3), value.Float(7), big(2)
	column := func(i int) value.Value { return row[i] }
	require.Equal(t, True, p.Eval(column))
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Eval(column) }))
}

// drawValue draws small values, so that they often meet.
func drawValue(t *rapid.T, kind value.Kind) value.Value {
	n := rapid.Int64Range(-2, 6).Draw(t, "n")
	u := uint64(max(n, 0))
	switch kind {
	case value.KindBoolean:
		return value.Bool(n > 2)
	case value.KindU8:
		return value.U8(uint8(u))
	case value.KindU64:
		return value.U64(u)
	case value.KindInteger:
		return value.Int(n)
	case value.KindTimestamp:
		return value.Timestamp(n)
	case value.KindFloat:
		return value.Float(float64(n) / 2)
	case value.KindU256:
		return big(u)
	case value.KindI256:
		return wide(n)
	case value.KindJSON:
		return value.JSON(rapid.SampledFrom([]string{"1", "2", "{}"}).Draw(t, "json"))
	case value.KindBlob:
		return value.Blob([]byte(rapid.SampledFrom([]string{"", "\x00", "\x00\x01", "\xff"}).Draw(t, "blob")))
	}
	return value.Text(rapid.SampledFrom([]string{"", "a", "ab", "abc", "b", "é"}).Draw(t, "text"))
}

func drawLiteral(t *rapid.T, column value.Kind) value.Value {
	var kinds []value.Kind
	for k := value.KindNull; k <= value.KindBlob; k++ {
		if accepts(column, k) {
			kinds = append(kinds, k)
		}
	}
	k := rapid.SampledFrom(kinds).Draw(t, "kind")
	if k == value.KindNull {
		return value.Null()
	}
	return drawValue(t, k)
}

func drawExpr(t *rapid.T, l columns, depth int) Expr {
	n := rapid.IntRange(0, 14).Draw(t, "op")
	if depth <= 1 {
		n = n % 11
	}
	c := rapid.SampledFrom(l).Draw(t, "column")
	lit := func() value.Value { return drawLiteral(t, c.Kind) }
	switch {
	case n < 6:
		return test(opEq+op(n), c.Name, lit())
	case n == 6:
		return In(c.Name, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) value.Value { return drawLiteral(t, c.Kind) }), 0, 4).Draw(t, "list")...)
	case n == 7:
		return Between(c.Name, lit(), lit())
	case n == 8:
		return IsNull(c.Name)
	case n == 9:
		return IsNotNull(c.Name)
	case n == 10:
		if c.Kind != value.KindText {
			return Eq(c.Name, lit())
		}
		return Like(c.Name, rapid.SampledFrom([]string{"", "%", "a%", "a%c", "_", "ab", "%b", "é%"}).Draw(t, "pattern"))
	case n == 11:
		return Not(drawExpr(t, l, depth-1))
	}
	args := make([]Expr, rapid.IntRange(0, 3).Draw(t, "operands"))
	for i := range args {
		args[i] = drawExpr(t, l, depth-1)
	}
	if n == 12 {
		return Or(args...)
	}
	return And(args...)
}

// naive evaluates a condition straight from its definition.
func naive(e Expr, l columns, row []value.Value) Truth {
	truth := func(ok bool) Truth {
		if ok {
			return True
		}
		return False
	}
	compare := func(o op, a, b value.Value) Truth {
		c, known := value.ComparePredicate(a, b)
		if !known {
			return Unknown
		}
		return truth(map[op]bool{opEq: c == 0, opNe: c != 0, opLt: c < 0, opLte: c <= 0, opGt: c > 0, opGte: c >= 0}[o])
	}
	var cell value.Value
	if p, _, ok := l.Lookup(e.column); ok {
		cell = row[p]
	}
	switch e.op {
	case opTrue:
		return True
	case opNot:
		return 2 - naive(e.args[0], l, row)
	case opAnd:
		out := True
		for _, a := range e.args {
			out = min(out, naive(a, l, row))
		}
		return out
	case opOr:
		out := False
		for _, a := range e.args {
			out = max(out, naive(a, l, row))
		}
		return out
	case opIn:
		out := False
		for _, v := range e.values {
			out = max(out, compare(opEq, cell, v))
		}
		return out
	case opBetween:
		return min(compare(opGte, cell, e.values[0]), compare(opLte, cell, e.values[1]))
	case opIsNull:
		return truth(cell.IsNull())
	case opIsNotNull:
		return truth(!cell.IsNull())
	case opLike:
		if cell.IsNull() {
			return Unknown
		}
		return truth(compileLike(e.values[0].AsText()).match(cell.AsText()))
	}
	return compare(e.op, cell, e.values[0])
}

func TestBoundConditionsEqualTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExpr(t, every, 4)
		p, err := Bind(e, every)
		if err != nil {
			t.Fatalf("bind: %v", err)
		}
		for range 8 {
			row := make([]value.Value, len(every))
			for i, c := range every {
				if rapid.IntRange(0, 4).Draw(t, "null") > 0 {
					row[i] = drawValue(t, c.Kind)
				}
			}
			column := func(i int) value.Value { return row[i] }
			want := naive(e, every, row)
			if got := p.Eval(column); got != want {
				t.Fatalf("%v is %v, want %v", row, got, want)
			}
			inDomain := make([]bool, len(every))
			for i := range every {
				d := p.Domain(i)
				inDomain[i] = row[i].IsNull() && d.Null || !row[i].IsNull() && contains(d.Intervals, row[i])
				if want == True && !inDomain[i] {
					t.Fatalf("%v passes, but column %d is outside its domain", row, i)
				}
			}
			known := func(i int) bool { return inDomain[i] }
			if got := p.Without(known).Eval(column); (got == True) != (want == True) {
				t.Fatalf("%v without known columns is %v, want %v", row, got, want)
			}
		}
	})
}
