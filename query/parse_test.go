package query

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

func TestParseExprReadsEveryTest(t *testing.T) {
	for text, want := range map[string]Expr{
		"section = 'net' and installed_kib > 1000":  And(Eq("section", "net"), Gt("installed_kib", 1000)),
		"a=1 OR b<>2 AND c!=3":                      Or(Eq("a", 1), And(Ne("b", 2), Ne("c", 3))),
		"(a<1 or b<=2) and not c>=3":                And(Or(Lt("a", 1), Lte("b", 2)), Not(Gte("c", 3))),
		"a in (1, -2,null)":                         In("a", value.Int(1), value.Int(-2), value.Null()),
		"a not in ()":                               Not(In[int]("a")),
		"a between 1 and 2 and b = true":            And(Between("a", 1, 2), Eq("b", true)),
		"a NOT BETWEEN 1 AND 2":                     Not(Between("a", 1, 2)),
		"name like 'it''s %'":                       Like("name", "it's %"),
		"a is null or a Is Not Null":                Or(IsNull("a"), IsNotNull("a")),
		`"and" = x'00FF'`:                           Eq("and", value.Blob([]byte{0, 255})),
		`"q""q" = 1.5e3`:                            Eq(`q"q`, 1500.0),
		"x = -1.5 and x_1-y = 18446744073709551615": And(Eq("x", -1.5), Eq("x_1-y", uint64(math.MaxUint64))),
		"not not a = false":                         Not(Not(Eq("a", false))),
		"a = 18446744073709551616":                  Eq("a", mustParse(value.KindU256, "18446744073709551616")),
		"a = -9223372036854775809":                  Eq("a", mustParse(value.KindI256, "-9223372036854775809")),
		" ( ( a = 'é' ) ) ":                         Eq("a", "é"),
	} {
		got, err := ParseExpr(text)
		require.NoError(t, err, text)
		require.Equal(t, want.AppendCanonical(nil), got.AppendCanonical(nil), text)
	}
}

func mustParse(k value.Kind, s string) value.Value {
	v, err := value.Parse(k, s)
	if err != nil {
		panic(err)
	}
	return v
}

func TestParseExprErrorsTellThePosition(t *testing.T) {
	for text, at := range map[string]string{
		"":                 "byte 0",
		"a":                "byte 1",
		"a =":              "byte 3",
		"a = b":            "byte 4",
		"a = 'x":           "byte 4",
		"a = x'0'":         "byte 4",
		"a = x'00":         "byte 4",
		"a = 1 b":          "byte 6",
		"a = 1.2.3":        "byte 4",
		"a = 1e999":        "byte 4",
		"a like 5":         "byte 7",
		"(a = 1":           "byte 6",
		"a = 1)":           "byte 5",
		"and = 1":          "byte 0",
		"a in (1,":         "byte 8",
		"a is 1":           "byte 5",
		"a between 1 or 2": "byte 12",
		"a $ 1":            "byte 2",
	} {
		_, err := ParseExpr(text)
		require.ErrorIs(t, err, errs.ErrInvalidQuery, text)
		require.ErrorContains(t, err, at+":", text)
	}
}

func TestParseOrderReadsNamesAndDirections(t *testing.T) {
	got, err := ParseOrder(`section, installed_kib DESC, "in" asc`)
	require.NoError(t, err)
	require.Equal(t, []OrderKey{{"section", Asc}, {"installed_kib", Desc}, {"in", Asc}}, got)
	for _, bad := range []string{"", "a,", "a desc asc", "a b", "1", "in"} {
		_, err := ParseOrder(bad)
		require.ErrorIs(t, err, errs.ErrInvalidQuery, bad)
	}
}

func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{"a=1", "a in (1,'x',null) and not (b like '%' or c between 1 and 2.5)", "x'", `"`, "((((", "not not", "a=x'00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExpr(s)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrInvalidQuery)
			return
		}
		again, err := ParseExpr("(" + s + ")")
		if err == nil {
			require.Equal(t, e.AppendCanonical(nil), again.AppendCanonical(nil))
		}
		_, _ = Bind(e, every)
		_, _ = ParseOrder(s)
	})
}
