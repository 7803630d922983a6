package query

import "github.com/empyrealapp/aedb-go/errs"

// Reason is the stable token that tells one cause of invalid_query from
// another. It stands in the Object of the error.
type Reason string

// Reasons for invalid_query.
const (
	ReasonUnboundedScan      Reason = "unbounded_scan"
	ReasonOffsetWithoutLimit Reason = "offset_without_limit"
	ReasonOffsetWithCursor   Reason = "offset_with_cursor"
	ReasonNegativeWindow     Reason = "negative_window"
	ReasonTooDeep            Reason = "expr_too_deep"
	ReasonTooLarge           Reason = "expr_too_large"
	ReasonInListTooLong      Reason = "in_list_too_long"
	ReasonLikeTooLong        Reason = "like_too_long"
	ReasonTooManyOrder       Reason = "too_many_order"
	ReasonUnknownIndex       Reason = "unknown_index"
	ReasonSyntax             Reason = "syntax"
)

// Invalid returns an invalid_query error for the given reason.
func Invalid(reason Reason, format string, args ...any) *errs.Error {
	return errs.New(errs.CodeInvalidQuery, format, args...).On(string(reason))
}

// tooMuch returns an invalid_query error for a limit that was exceeded.
func tooMuch(reason Reason, what, limit string, n, max int) *errs.Error {
	e := Invalid(reason, "%s is %d, limit %s is %d", what, n, limit, max)
	e.Limit, e.Value, e.Max = limit, int64(n), int64(max)
	return e
}
