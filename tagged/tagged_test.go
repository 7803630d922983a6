package tagged_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/tagged"
)

func TestFieldsComeInOrderAndUnknownTypesArePassedOver(t *testing.T) {
	var m []byte
	m = protowire.AppendVarint(protowire.AppendTag(m, 3, protowire.VarintType), 300)
	m = protowire.AppendFixed64(protowire.AppendTag(m, 4, protowire.Fixed64Type), 7)
	m = protowire.AppendBytes(protowire.AppendTag(m, 1, protowire.BytesType), []byte("abc"))
	type field struct {
		tag protowire.Number
		n   uint64
		raw string
	}
	var got []field
	require.NoError(t, tagged.Each(m, func(tag protowire.Number, n uint64, raw []byte) error {
		got = append(got, field{tag, n, string(raw)})
		return nil
	}))
	require.Equal(t, []field{{3, 300, ""}, {1, 0, "abc"}}, got)

	enough := errors.New("enough")
	require.ErrorIs(t, tagged.Each(m, func(protowire.Number, uint64, []byte) error { return enough }), enough)
	whole := map[int]bool{0: true, 3: true, 12: true, len(m): true} // where a field ends
	for cut := range len(m) {
		err := tagged.Each(m[:cut], func(protowire.Number, uint64, []byte) error { return nil })
		require.Equal(t, whole[cut], err == nil, "cut at %d", cut)
	}
}

func FuzzEach(f *testing.F) {
	f.Add([]byte{0x18, 0xac, 0x02})
	f.Fuzz(func(t *testing.T, m []byte) {
		read := 0
		_ = tagged.Each(m, func(_ protowire.Number, _ uint64, raw []byte) error {
			read += len(raw)
			return nil
		})
		require.LessOrEqual(t, read, len(m))
	})
}
