package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// columns is a layout by name, for tests.
type columns []Column

func (c columns) Lookup(name string) (int, value.Kind, bool) {
	for i := range c {
		if c[i].Name == name {
			return i, c[i].Kind, true
		}
	}
	return 0, 0, false
}

func (c columns) String() string { return "test" }

// every has one column of each kind, named after it.
var every = func() columns {
	var c columns
	for k := value.KindBoolean; k <= value.KindBlob; k++ {
		c = append(c, Column{Name: k.String(), Kind: k, Nullable: true})
	}
	return c
}()

func TestBuildersLeaveTheirReceiverAsItIs(t *testing.T) {
	base := Select("a").From("t").Where(Eq("a", 1)).OrderBy("a", Asc)
	before := base.AppendCanonical(nil)
	left := base.OrderBy("b", Asc).Limit(1)
	right := base.OrderBy("c", Desc).Where(Eq("b", 2)).Offset(3).UseIndex("x")
	require.Equal(t, before, base.AppendCanonical(nil))
	require.Equal(t, "b", left.Order[1].Column)
	require.Equal(t, "c", right.Order[1].Column)
	require.False(t, base.Window.Limited)
}

func TestCanonicalEncodingIdentifiesTheListing(t *testing.T) {
	q := Select("a").From("t").Where(Eq("a", 1)).OrderBy("a", Asc)
	same := []Query{q.Limit(3), q.Offset(1), Select("b", "a").From("t").Where(Eq("a", 1)).OrderBy("a", Asc)}
	for _, s := range same {
		require.Equal(t, q.AppendCanonical(nil), s.AppendCanonical(nil))
	}
	other := []Query{
		q.From("u"), q.Where(Eq("b", 1)), q.OrderBy("b", Asc), q.UseIndex("x"),
		Select().From("t").Where(Eq("a", uint8(1))).OrderBy("a", Asc),
		Select().From("t").Where(Ne("a", 1)).OrderBy("a", Asc),
		Select().From("t").Where(Eq("a", 1)).OrderBy("a", Desc),
	}
	for _, o := range other {
		require.NotEqual(t, q.AppendCanonical(nil), o.AppendCanonical(nil))
	}
}

func TestLimitsOfAQueryAreInvalidQuery(t *testing.T) {
	doubled := func(n int) Expr { // of little depth and memory, and 2^n tests
		e := Eq("a", 1)
		for i := range n {
			if i%2 == 0 {
				e = And(e, e)
			} else {
				e = Or(e, e)
			}
		}
		return e
	}
	deep := func(n int) Expr {
		e := Eq("a", 1)
		for range n - 1 {
			e = Not(e)
		}
		return e
	}
	order := func(n int) Query {
		q := Select().From("t")
		for range n {
			q = q.OrderBy("a", Asc)
		}
		return q
	}
	wide := make([]Expr, 1000)
	for i := range wide {
		wide[i] = Eq("a", i)
	}
	require.NoError(t, Select().Where(deep(32)).Validate())
	require.NoError(t, Select().Where(And(wide...)).Validate(), "n-ary And is one level")
	require.NoError(t, order(32).Validate())
	for reason, q := range map[Reason]Query{
		ReasonTooDeep:            Select().Where(deep(33)),
		ReasonTooLarge:           Select().Where(doubled(31)),
		ReasonTooManyOrder:       order(33),
		ReasonOffsetWithoutLimit: Select().Offset(1),
		ReasonNegativeWindow:     Select().Limit(-1),
	} {
		err := q.Validate()
		require.ErrorIs(t, err, errs.ErrInvalidQuery)
		var e *errs.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, string(reason), e.Object)
	}

	l := columns{{Name: "a", Kind: value.KindInteger}, {Name: "s", Kind: value.KindText}}
	_, err := Bind(In("a", make([]int, 10_000)...), l)
	require.NoError(t, err)
	_, err = Bind(In("a", make([]int, 10_001)...), l)
	require.ErrorIs(t, err, errs.ErrInvalidQuery)
	_, err = Bind(Like("s", string(make([]byte, 256))), l)
	require.NoError(t, err)
	_, err = Bind(Like("s", string(make([]byte, 257))), l)
	require.ErrorIs(t, err, errs.ErrInvalidQuery)
	_, err = Bind(deep(33), l)
	require.ErrorIs(t, err, errs.ErrInvalidQuery)
	_, err = Bind(Eq("nope", 1), l)
	require.ErrorIs(t, err, errs.ErrColumnNotFound)
}

func TestLiteralKindsAreCheckedAgainstTheColumn(t *testing.T) {
	samples := map[value.Kind]value.Value{
		value.KindNull: value.Null(), value.KindBoolean: value.Bool(true), value.KindU8: value.U8(1),
		value.KindU64: value.U64(1), value.KindInteger: value.Int(1), value.KindTimestamp: value.Timestamp(1),
		value.KindFloat: value.Float(1), value.KindText: value.Text("1"), value.KindJSON: value.JSON("1"),
		value.KindBlob: value.Blob([]byte("1")), value.KindU256: big(1), value.KindI256: wide(1),
	}
	ints := []value.Kind{value.KindU8, value.KindU64, value.KindInteger, value.KindTimestamp}
	numbers := append(ints[:4:4], value.KindFloat)
	exact := append(ints[:4:4], value.KindU256, value.KindI256)
	accepted := map[value.Kind][]value.Kind{
		value.KindU8: numbers, value.KindU64: numbers, value.KindInteger: numbers,
		value.KindTimestamp: numbers, value.KindFloat: numbers,
		value.KindU256: exact, value.KindI256: exact,
		value.KindText: {value.KindText}, value.KindBoolean: {value.KindBoolean}, value.KindBlob: {value.KindBlob},
		value.KindJSON: {value.KindJSON, value.KindText},
	}
	for column, want := range accepted {
		for kind, v := range samples {
			ok := kind == value.KindNull
			for _, k := range want {
				ok = ok || k == kind
			}
			for _, e := range []Expr{
				Eq(column.String(), v), Lt(column.String(), v), In(column.String(), value.Null(), v),
				Between(column.String(), value.Null(), v),
			} {
				_, err := Bind(e, every)
				if ok {
					require.NoError(t, err, "%s against %s", kind, column)
					continue
				}
				require.ErrorIs(t, err, errs.ErrTypeMismatch)
				require.ErrorContains(t, err, column.String())
				require.ErrorContains(t, err, kind.String())
			}
		}
		_, err := Bind(Like(column.String(), "%"), every)
		require.Equal(t, column == value.KindText, err == nil, "LIKE on %s", column)
	}
}
