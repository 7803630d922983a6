package value

import (
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/empyrealapp/aedb-go/errs"
)

// LimitTableValueBytes is the name of the limit on the size of one Text, Json
// or Blob cell, as it stands in the errors of Check.
const LimitTableValueBytes = "max_table_value_bytes"

// Check reports whether v may be stored in the named column of the given kind.
// Every path that writes a cell ends here. Errors name the column and never
// the value:
//
//   - not_null_violation: v is Null and the column is not nullable;
//   - type_mismatch: v is of another kind; kinds are not converted on write;
//   - limit_exceeded: Text, Json or Blob is longer than maxBytes;
//   - validation: a Float is NaN or infinite, Text or Json is not UTF-8, or
//     Json does not parse.
func Check(column string, kind Kind, nullable bool, maxBytes int, v Value) error {
	if v.kind == KindNull {
		if nullable {
			return nil
		}
		return errs.New(errs.CodeNotNullViolation, "column %s is not nullable", column).On(column)
	}
	if v.kind != kind {
		return errs.New(errs.CodeTypeMismatch, "column %s holds %s, got %s", column, kind, v.kind).On(column)
	}
	switch kind {
	case KindFloat:
		if f := v.AsFloat(); math.IsNaN(f) || math.IsInf(f, 0) {
			return errs.New(errs.CodeValidation, "column %s holds finite numbers only", column).On(column)
		}
		return nil
	case KindText, KindJSON, KindBlob:
	default:
		return nil
	}
	if len(v.str) > maxBytes {
		return errs.Exceeded(column, LimitTableValueBytes, int64(len(v.str)), int64(maxBytes))
	}
	if kind != KindBlob && !utf8.ValidString(v.str) {
		return errs.New(errs.CodeValidation, "column %s holds UTF-8 only", column).On(column)
	}
	if kind == KindJSON && !json.Valid([]byte(v.str)) {
		return errs.New(errs.CodeValidation, "column %s holds JSON only", column).On(column)
	}
	return nil
}
