package value

import (
	"math"
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// columnKinds are the kinds that a column may have.
var columnKinds = []Kind{
	KindBoolean, KindU8, KindU64, KindInteger, KindU256, KindI256,
	KindTimestamp, KindFloat, KindText, KindJSON, KindBlob,
}

// numericKinds are the kinds that compare by number in conditions.
var numericKinds = []Kind{
	KindU8, KindU64, KindInteger, KindU256, KindI256, KindTimestamp, KindFloat,
}

// drawBits draws 64 bits, often near the edges of the smaller ranges.
func drawBits(t *rapid.T) uint64 {
	edges := []uint64{0, 1, 127, 128, 255, 256, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64}
	n := rapid.SampledFrom(edges).Draw(t, "edge")
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return n
	case 1:
		return -n
	case 2:
		return rapid.Uint64().Draw(t, "bits")
	}
	return n + uint64(rapid.IntRange(-2, 2).Draw(t, "offset"))
}

// draw256 draws 256 bits: few low bits, the same negated, or arbitrary ones.
func draw256(t *rapid.T) *uint256.Int {
	n := uint256.NewInt(drawBits(t))
	n.Lsh(n, uint(rapid.SampledFrom([]int{0, 0, 1, 40, 64, 191, 192}).Draw(t, "shift")))
	switch rapid.IntRange(0, 3).Draw(t, "form256") {
	case 0:
		n.Neg(n)
	case 1:
		n.Not(n)
	case 2:
		n.AddUint64(n, drawBits(t))
	}
	return n
}

// drawFloat draws a finite float, often one that is whole or near whole.
func drawFloat(t *rapid.T) float64 {
	switch rapid.IntRange(0, 3).Draw(t, "floatForm") {
	case 0:
		return float64(int64(drawBits(t)))
	case 1:
		return float64(rapid.IntRange(-600, 600).Draw(t, "halves")) / 2
	case 2:
		f := math.Ldexp(1, rapid.IntRange(-2, 258).Draw(t, "exponent"))
		f = math.Nextafter(f, rapid.SampledFrom([]float64{0, f, math.Inf(1)}).Draw(t, "towards"))
		return f * rapid.SampledFrom([]float64{1, -1}).Draw(t, "sign")
	}
	return rapid.Float64().Draw(t, "float")
}

// drawString draws bytes among which those that need care are frequent.
func drawString(t *rapid.T) string {
	if rapid.Bool().Draw(t, "long") {
		return rapid.String().Draw(t, "text")
	}
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xFE, 0xFF}), 0, 4).Draw(t, "bytes"))
}

// drawValue draws any value that a column of the kind may hold; strings need
// be neither UTF-8 nor JSON.
func drawValue(t *rapid.T, kind Kind) Value {
	switch kind {
	case KindBoolean:
		return Bool(rapid.Bool().Draw(t, "bool"))
	case KindU8:
		return U8(uint8(drawBits(t)))
	case KindU64:
		return U64(drawBits(t))
	case KindInteger:
		return Int(int64(drawBits(t)))
	case KindTimestamp:
		return Timestamp(int64(drawBits(t)))
	case KindU256:
		return U256(draw256(t))
	case KindI256:
		return I256(draw256(t))
	case KindFloat:
		return Float(drawFloat(t))
	case KindText:
		return Text(drawString(t))
	case KindJSON:
		return JSON(drawString(t))
	case KindBlob:
		return Blob([]byte(drawString(t)))
	}
	return Null()
}

// drawAny draws a value of any kind, Null among them.
func drawAny(t *rapid.T) Value {
	return drawValue(t, rapid.SampledFrom(append([]Kind{KindNull}, columnKinds...)).Draw(t, "kind"))
}

// drawStorable draws a value of the kind that tables accept.
func drawStorable(t *rapid.T, kind Kind) Value {
	switch kind {
	case KindText:
		return Text(rapid.String().Draw(t, "utf8"))
	case KindJSON:
		return JSON(rapid.SampledFrom([]string{"{}", " [1, 2]\n", `"a<b"`, "7", "true"}).Draw(t, "json"))
	}
	return drawValue(t, kind)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestCompareOrdersSignedWideIntegers(t *testing.T) {
	minusTwo := I256(new(uint256.Int).Neg(uint256.NewInt(2)))
	minusOne := I256(new(uint256.Int).Neg(uint256.NewInt(1)))
	ordered := []Value{minusTwo, minusOne, I256(uint256.NewInt(0)), I256(uint256.NewInt(1))}
	for i := range ordered {
		for j := range ordered {
			require.Equal(t, sign(i-j), Compare(ordered[i], ordered[j]), "%s, %s", ordered[i], ordered[j])
		}
	}
}

func TestCompareKeepsKindsApart(t *testing.T) {
	require.Equal(t, 1, Compare(Int(5), U64(5)))
	require.Equal(t, -1, Compare(Null(), Bool(false)))
}

func TestCompareAgreesWithEquality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawAny(t), drawAny(t)
		require.Equal(t, a == b, Compare(a, b) == 0)
		require.Equal(t, Compare(a, b), -Compare(b, a))
	})
}

func TestFloatHasOneZero(t *testing.T) {
	require.Equal(t, Float(0), Float(math.Copysign(0, -1)))
}
