package applier

import (
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

func someReplies() []msgs.Reply {
	row := value.Row{
		value.Int(-1), value.Null(), value.Text("a\x00b"), value.Blob([]byte{0, 255}), value.JSON(`{"a": 1}`),
		value.Float(1.5), value.Bool(true), value.U8(3), value.U64(1 << 63), value.Timestamp(9),
		value.U256(uint256.NewInt(7)), value.I256(new(uint256.Int).SetAllOne()),
	}
	return []msgs.Reply{
		{},
		{Mutation: 1, Affected: 2, Value: value.U64(3), Version: 4},
		{Mutation: 300, Rows: []msgs.RowChange{{Before: row, After: row}, {Before: row}}},
	}
}

func TestRepliesComeBackFromWhatIsKept(t *testing.T) {
	for _, want := range [][]msgs.Reply{nil, someReplies()} {
		got, lost, err := parseReplies(appendReplies(nil, want))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.False(t, lost)
	}
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(appendReplies(nil, someReplies()))
	f.Add([]byte{1<<3 | 5, 1, 2, 3, 4}) // a type that is skipped
	f.Fuzz(func(t *testing.T, raw []byte) {
		replies, _, err := parseReplies(raw)
		if err != nil {
			require.NotEmpty(t, errs.CodeOf(err))
			return
		}
		again, lost, err := parseReplies(appendReplies(nil, replies))
		require.NoError(t, err)
		if !lost {
			require.Equal(t, appendReplies(nil, replies), appendReplies(nil, again))
		}
	})
}
