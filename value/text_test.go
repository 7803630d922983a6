package value

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
)

func mustParse(t testing.TB, kind Kind, s string) Value {
	t.Helper()
	v, err := Parse(kind, s)
	require.NoError(t, err)
	return v
}

const max256 = "115792089237316195423570985008687907853269984665640564039457584007913129639935"

func TestKindNamesRoundTripInAnyCase(t *testing.T) {
	for _, k := range append([]Kind{KindNull}, columnKinds...) {
		for _, name := range []string{k.String(), strings.ToLower(k.String()), strings.ToUpper(k.String())} {
			got, err := ParseKind(name)
			require.NoError(t, err)
			require.Equal(t, k, got)
		}
	}
	_, err := ParseKind("decimal")
	require.ErrorIs(t, err, errs.ErrValidation)
	require.Equal(t, "unknown", Kind(200).String())
}

func TestTextForm(t *testing.T) {
	for want, v := range map[string]Value{
		"null":                         Null(),
		"true":                         Bool(true),
		"255":                          U8(255),
		"18446744073709551615":         U64(math.MaxUint64),
		"-9223372036854775808":         Int(math.MinInt64),
		"-7":                           mustParse(t, KindI256, "-7"),
		"0x" + strings.Repeat("f", 64): mustParse(t, KindU256, max256),
		"1700000000000000":             Timestamp(1_700_000_000_000_000),
		"0.1":                          Float(0.1),
		"a\x00":                        Text("a\x00"),
		`{"a":1}`:                      JSON(`{"a":1}`),
		"0x00ff":                       Blob([]byte{0, 0xFF}),
		"0x" + strings.Repeat("0", 64): mustParse(t, KindU256, "0"),
		"-" + half256:                  mustParse(t, KindI256, "-"+half256),
		"0x":                           Blob(nil),
		"1e+100":                       Float(1e100),
	} {
		require.Equal(t, want, v.String())
	}
}

// half256 is 2^255, the magnitude of the least I256.
const half256 = "57896044618658097711785492504343953926634992332820282019728792003956564819968"

func TestTextFormRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawStorable(t, rapid.SampledFrom(columnKinds).Draw(t, "kind"))
		got, err := Parse(v.Kind(), v.String())
		require.NoError(t, err)
		require.Equal(t, v, got)
	})
}

func TestParseAcceptsOtherForms(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		text string
		want string
	}{
		{KindU256, "0xFf", "0x" + strings.Repeat("0", 62) + "ff"},
		{KindU256, "0x" + strings.Repeat("0", 70) + "1", "0x" + strings.Repeat("0", 63) + "1"},
		{KindI256, "0x10", "16"},
		{KindI256, "-0x10", "-16"},
		{KindI256, "-0", "0"},
		{KindTimestamp, "2023-11-14T22:13:20.000001Z", "1700000000000001"},
		{KindTimestamp, "2023-11-14T23:13:20+01:00", "1700000000000000"},
		{KindTimestamp, "1969-12-31T23:59:59.999999Z", "-1"},
		{KindFloat, "-0", "0"},
		{KindBlob, "0xAb", "0xab"},
	} {
		require.Equal(t, c.want, mustParse(t, c.kind, c.text).String(), c.text)
	}
}

func TestParseRefusesWhatIsNoValue(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		text string
	}{
		{KindNull, ""}, {KindBoolean, "TRUE"}, {KindBoolean, "1"},
		{KindU8, "256"}, {KindU8, "-1"}, {KindU8, ""}, {KindU64, "1.0"}, {KindU64, "18446744073709551616"},
		{KindInteger, "9223372036854775808"}, {KindInteger, "0x1"}, {KindInteger, "1_0"},
		{KindU256, ""}, {KindU256, "0x"}, {KindU256, "-1"}, {KindU256, "+1"}, {KindU256, "0xg"}, {KindU256, "0x1_0"},
		{KindU256, "115792089237316195423570985008687907853269984665640564039457584007913129639936"},
		{KindU256, "0x1" + strings.Repeat("0", 64)}, {KindU256, "1 0"}, {KindI256, half256}, {KindI256, "--1"},
		{KindI256, "-0x8" + strings.Repeat("0", 62) + "10"}, {KindI256, "-"},
		{KindTimestamp, "yesterday"}, {KindTimestamp, "2023-11-14T22:13:20.0000001Z"}, {KindTimestamp, "9223372036854775808"},
		{KindFloat, "NaN"}, {KindFloat, "Inf"}, {KindFloat, "1e400"}, {KindFloat, ""},
		{KindText, "\xFF"}, {KindJSON, "{"}, {KindJSON, "\"\xFF\""}, {KindJSON, ""},
		{KindBlob, "ff"}, {KindBlob, "0xf"}, {KindBlob, "0xzz"}, {Kind(77), "1"},
	} {
		v, err := Parse(c.kind, c.text)
		require.ErrorIs(t, err, errs.ErrValidation, "%s %q", c.kind, c.text)
		require.True(t, v.IsNull())
	}
}

func TestJSONForm(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Null(), "null"}, {Bool(false), "false"}, {U8(9), "9"},
		{U64(1<<53 - 1), "9007199254740991"}, {U64(1 << 53), `"9007199254740992"`},
		{Int(-(1<<53 - 1)), "-9007199254740991"}, {Int(-(1 << 53)), `"-9007199254740992"`},
		{Timestamp(-1), "-1"}, {mustParse(t, KindU256, "5"), `"5"`}, {mustParse(t, KindI256, "-5"), `"-5"`},
		{Float(1e100), "1e+100"}, {Float(math.Inf(-1)), `"-Inf"`}, {Text("a\"\n"), `"a\"\n"`},
		{JSON("[1, 2]"), "[1, 2]"}, {Blob([]byte{1, 2}), `"AQI="`}, {Blob(nil), `""`},
	} {
		require.Equal(t, "x"+c.want, string(AppendJSON([]byte("x"), c.v)))
	}
}

func TestJSONFormRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawStorable(t, rapid.SampledFrom(columnKinds).Draw(t, "kind"))
		got, err := ParseJSON(v.Kind(), AppendJSON(nil, v))
		require.NoError(t, err)
		if v.Kind() == KindJSON {
			v = JSON(strings.TrimSpace(v.AsText()))
		}
		require.Equal(t, v, got)
	})
}

func TestParseJSONIsDrivenByTheKind(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		raw  string
		want Value
	}{
		{KindText, " null ", Null()}, {KindJSON, "null", Null()}, {KindNull, "null", Null()},
		{KindU64, `"7"`, U64(7)}, {KindU64, "18446744073709551615", U64(math.MaxUint64)},
		{KindU256, "7", mustParse(t, KindU256, "7")}, {KindU256, `"0x7"`, mustParse(t, KindU256, "7")},
		{KindFloat, "7", Float(7)}, {KindTimestamp, `"1970-01-01T00:00:01Z"`, Timestamp(1_000_000)},
		{KindJSON, `"7"`, JSON(`"7"`)}, {KindText, `"\u0041"`, Text("A")},
	} {
		got, err := ParseJSON(c.kind, []byte(c.raw))
		require.NoError(t, err, c.raw)
		require.Equal(t, c.want, got, c.raw)
	}
	for _, c := range []struct {
		kind Kind
		raw  string
	}{
		{KindBoolean, `"true"`}, {KindBoolean, "1"}, {KindFloat, `"1.5"`}, {KindU64, "1e3"}, {KindU64, "-1"},
		{KindInteger, "1.5"}, {KindText, "7"}, {KindText, "[]"}, {KindBlob, `"%"`}, {KindBlob, "7"},
		{KindText, "\"\xFF\""}, {KindJSON, "{"}, {KindJSON, ""}, {KindNull, `"null"`}, {KindInteger, "{}"},
	} {
		_, err := ParseJSON(c.kind, []byte(c.raw))
		require.ErrorIs(t, err, errs.ErrValidation, "%s %s", c.kind, c.raw)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "null", "-0x10", "1e5", "0xff", "2023-11-14T22:13:20Z", `{"a":"\u0000"}`, max256} {
		for _, k := range columnKinds {
			f.Add(uint8(k), s)
		}
	}
	f.Fuzz(func(t *testing.T, k uint8, s string) {
		kind := Kind(k % (uint8(KindBlob) + 1))
		if v, err := Parse(kind, s); err != nil {
			require.ErrorIs(t, err, errs.ErrValidation)
		} else {
			require.Equal(t, kind, v.Kind())
			require.NoError(t, Check("c", kind, true, len(s), v))
			again, err := Parse(kind, v.String())
			require.NoError(t, err)
			require.Equal(t, v, again)
		}
		if v, err := ParseJSON(kind, []byte(s)); err == nil && !v.IsNull() {
			require.True(t, utf8.ValidString(s))
			again, err := ParseJSON(kind, AppendJSON(nil, v))
			require.NoError(t, err)
			require.Equal(t, v, again)
		}
	})
}
