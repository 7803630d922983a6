package value

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
)

func TestCheckRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		kind     Kind
		nullable bool
		v        Value
		want     error
	}{
		"null in not null":      {KindText, false, Null(), errs.ErrNotNullViolation},
		"null in nullable":      {KindText, true, Null(), nil},
		"integer in u64":        {KindU64, true, Int(5), errs.ErrTypeMismatch},
		"text in json":          {KindJSON, true, Text("{}"), errs.ErrTypeMismatch},
		"nan":                   {KindFloat, true, Float(math.NaN()), errs.ErrValidation},
		"infinity":              {KindFloat, true, Float(math.Inf(1)), errs.ErrValidation},
		"finite":                {KindFloat, true, Float(1), nil},
		"invalid UTF-8":         {KindText, true, Text("\xFF"), errs.ErrValidation},
		"invalid UTF-8 in json": {KindJSON, true, JSON("\"\xFF\""), errs.ErrValidation},
		"broken json":           {KindJSON, true, JSON("{"), errs.ErrValidation},
		"empty json":            {KindJSON, true, JSON(""), errs.ErrValidation},
		"any blob":              {KindBlob, true, Blob([]byte{0xFF}), nil},
		"blob at the limit":     {KindBlob, true, Blob(make([]byte, 16)), nil},
		"blob above":            {KindBlob, true, Blob(make([]byte, 17)), errs.ErrLimitExceeded},
		"text above":            {KindText, true, Text(strings.Repeat("x", 17)), errs.ErrLimitExceeded},
		"wide is no string":     {KindU256, true, mustParse(t, KindU256, max256), nil},
	} {
		err := Check("secret_holder", c.kind, c.nullable, 16, c.v)
		if c.want == nil {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, c.want, name)
		var e *errs.Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, "secret_holder", e.Object, name)
	}
}

func TestCheckNamesKindsAndLimitButNoValue(t *testing.T) {
	err := Check("age", KindU8, false, 16, Text("hunter2"))
	require.ErrorContains(t, err, "U8")
	require.ErrorContains(t, err, "Text")
	require.NotContains(t, err.Error(), "hunter2")

	var e *errs.Error
	require.ErrorAs(t, Check("name", KindText, false, 3, Text("hunter2")), &e)
	require.Equal(t, LimitTableValueBytes, e.Limit)
	require.EqualValues(t, 7, e.Value)
	require.EqualValues(t, 3, e.Max)
	require.NotContains(t, e.Error(), "hunter2")
}

func TestCheckAcceptsWhatIsStorable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(columnKinds).Draw(t, "kind")
		require.NoError(t, Check("c", kind, false, 1<<20, drawStorable(t, kind)))
	})
}
