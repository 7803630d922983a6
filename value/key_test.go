package value

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
)

// drawPair draws two values, mostly of the same kind so that content decides.
func drawPair(t *rapid.T) (a, b Value) {
	a = drawAny(t)
	if rapid.IntRange(0, 3).Draw(t, "mix") == 0 {
		return a, drawAny(t)
	}
	return a, drawValue(t, a.Kind())
}

// drawTuples draws two tuples of equal length that often share a beginning.
func drawTuples(t *rapid.T) (a, b Row) {
	n := rapid.IntRange(1, 4).Draw(t, "n")
	for range n {
		x, y := drawPair(t)
		if rapid.Bool().Draw(t, "same") {
			y = x
		}
		a, b = append(a, x), append(b, y)
	}
	return a, b
}

func compareRows(a, b Row) int {
	for i := range a {
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func TestKeyOrderIsValueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		require.Equal(t, Compare(a, b), bytes.Compare(AppendKey(nil, a), AppendKey(nil, b)))
	})
}

func TestKeyOrderOfTuplesIsElementWise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTuples(t)
		ka, kb := AppendKeyRow(nil, a...), AppendKeyRow(nil, b...)
		require.Equal(t, compareRows(a, b), bytes.Compare(ka, kb))
	})
}

func TestKeyDescendingReversesOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		require.Equal(t, Compare(b, a), bytes.Compare(AppendKeyDesc(nil, a), AppendKeyDesc(nil, b)))
	})
}

func TestKeyIsNoPrefixOfAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		if a == b {
			return
		}
		for _, form := range []func([]byte, Value) []byte{AppendKey, AppendKeyDesc} {
			require.False(t, bytes.HasPrefix(form(nil, a), form(nil, b)))
		}
	})
}

func TestKeyRoundTripsInBothDirections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vals, _ := drawTuples(t)
		var key []byte
		for i, v := range vals {
			before := len(key)
			if rapid.Bool().Draw(t, "desc") {
				key = AppendKeyDesc(key, v)
			} else {
				key = AppendKey(key, v)
			}
			require.Equal(t, len(key)-before, KeyLen(v), "element %d", i)
		}
		tail := []byte{0, 0xFF}
		key = append(key, tail...)
		row, rest, err := DecodeKeyRow(key, len(vals))
		require.NoError(t, err)
		require.Equal(t, vals, row)
		require.Equal(t, tail, rest)
		for range vals {
			key, err = SkipKey(key)
			require.NoError(t, err)
		}
		require.Equal(t, tail, key)
	})
}

func TestKeysOfOldCollisionsDiffer(t *testing.T) {
	a := AppendKeyRow(nil, Text("a"), Null(), Text("p\x00\x14z"))
	b := AppendKeyRow(nil, Text("a\x00\x14p"), Null(), Text("z"))
	require.NotEqual(t, a, b)
	require.False(t, bytes.HasPrefix(AppendKey(nil, Text("a\x00b")), AppendKey(nil, Text("a"))))
}

// The bytes are the on-disk format: a change here needs a new version of it.
func TestKeyBytes(t *testing.T) {
	i256 := make([]byte, 32)
	i256[0] = 0x80
	for _, c := range []struct {
		v    Value
		want []byte
	}{
		{Null(), []byte{1}},
		{Bool(true), []byte{2, 1}},
		{U8(7), []byte{3, 7}},
		{U64(258), []byte{4, 0, 0, 0, 0, 0, 0, 1, 2}},
		{Int(-1), []byte{5, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
		{mustParse(t, KindU256, "0"), append([]byte{6}, make([]byte, 32)...)},
		{mustParse(t, KindI256, "0"), append([]byte{7}, i256...)},
		{Timestamp(1), []byte{8, 0x80, 0, 0, 0, 0, 0, 0, 1}},
		{Float(1), []byte{9, 0xBF, 0xF0, 0, 0, 0, 0, 0, 0}},
		{Float(-1), []byte{9, 0x40, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
		{Text("a\x00"), []byte{10, 'a', 0, 0xFF, 0, 1}},
		{JSON(""), []byte{11, 0, 1}},
		{Blob([]byte{0xFF}), []byte{12, 0xFF, 0, 1}},
	} {
		require.Equal(t, c.want, AppendKey(nil, c.v), "%s", c.v.Kind())
		require.Equal(t, len(c.want), KeyLen(c.v))
	}
	require.Equal(t, []byte{0xF5, 0x9E, 0xFF, 0xFE}, AppendKeyDesc(nil, Text("a")))
}

func TestKeyOfDamagedBytesIsRefused(t *testing.T) {
	negativeZero := []byte{9, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	for name, b := range map[string][]byte{
		"empty":                    {},
		"tag 0":                    {0},
		"tag FF":                   {0xFF},
		"tag above the last":       {13},
		"boolean 2":                {2, 2},
		"descending boolean 2":     {0xFD, 0xFD},
		"boolean cut":              {2},
		"integer cut":              {5, 0, 0},
		"wide cut":                 {6, 0},
		"negative zero":            negativeZero,
		"text without end":         {10, 'a'},
		"text ending in 00":        {10, 'a', 0},
		"bad escape":               {10, 0, 2, 0, 1},
		"escape without end":       {10, 0, 0xFF},
		"mixed direction":          {0xF5, 0x9E, 0, 1},
		"descending without its 0": {0xF5, 0x9E, 0xFF},
	} {
		_, _, err := DecodeKey(b)
		require.ErrorIs(t, err, errs.ErrDecode, name)
		_, err = SkipKey(b)
		require.ErrorIs(t, err, errs.ErrDecode, name)
	}
	_, _, err := DecodeKeyRow([]byte{1, 1}, 3)
	require.ErrorIs(t, err, errs.ErrDecode)
	_, _, err = DecodeKeyRow([]byte{1}, -1)
	require.ErrorIs(t, err, errs.ErrDecode)
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ p, want []byte }{
		{nil, nil},
		{[]byte{0xFF, 0xFF}, nil},
		{[]byte{0x10, 0xAA, 0x00}, []byte{0x10, 0xAA, 0x01}},
		{[]byte{0x10, 0xFF, 0xFF}, []byte{0x11}},
	} {
		before := bytes.Clone(c.p)
		require.Equal(t, c.want, PrefixEnd(c.p))
		require.Equal(t, before, c.p, "the prefix is left alone")
	}
}

func TestPrefixRangeHoldsJustTheKeysOfItsValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawPair(t)
		p := AppendKey(nil, a)
		key := AppendKeyRow(nil, b, drawAny(t))
		within := bytes.Compare(key, p) >= 0 && bytes.Compare(key, PrefixEnd(p)) < 0
		require.Equal(t, a == b, within)
	})
}

func TestSkipKeyDoesNotAllocate(t *testing.T) {
	key := AppendKeyRow(nil, Text("a\x00b"), Float(math.Pi))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		rest, _ := SkipKey(key)
		_, _ = SkipKey(rest)
	}))
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendKeyRow(nil, Null(), Bool(true), U8(1), U64(2), Int(-3), Timestamp(4), Float(-5.5)))
	f.Add(AppendKeyRow(nil, Text("a\x00b"), JSON("{}"), Blob([]byte{0xFF, 0})))
	f.Add(AppendKeyDesc(AppendKeyDesc(nil, Text("a\x00b")), mustParse(f, KindI256, "-6")))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := DecodeKey(b)
		skipped, skipErr := SkipKey(b)
		require.Equal(t, err == nil, skipErr == nil)
		borrowed, _, borrowErr := BorrowKey(b)
		require.Equal(t, err == nil, borrowErr == nil)
		require.Equal(t, v, borrowed)
		if err != nil {
			require.ErrorIs(t, err, errs.ErrDecode)
			return
		}
		require.Equal(t, rest, skipped)
		form := AppendKey
		if b[0] >= 0x80 {
			form = AppendKeyDesc
		}
		require.Equal(t, b[:len(b)-len(rest)], form(nil, v))
		require.Equal(t, len(b)-len(rest), KeyLen(v))
	})
}
