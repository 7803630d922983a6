package errs

// Sentinels, one for each code, for errors.Is. They carry no detail: use
// errors.As with *Error for that.
var (
	ErrIO                    = &Error{Code: CodeIO}
	ErrEncode                = &Error{Code: CodeEncode}
	ErrDecode                = &Error{Code: CodeDecode}
	ErrInvalidConfig         = &Error{Code: CodeInvalidConfig}
	ErrIntegrity             = &Error{Code: CodeIntegrity}
	ErrRecoveryIntegrity     = &Error{Code: CodeRecoveryIntegrity}
	ErrUnavailable           = &Error{Code: CodeUnavailable}
	ErrInternal              = &Error{Code: CodeInternal}
	ErrQueueFull             = &Error{Code: CodeQueueFull}
	ErrTimeout               = &Error{Code: CodeTimeout}
	ErrCanceled              = &Error{Code: CodeCanceled}
	ErrOutcomeUnknown        = &Error{Code: CodeOutcomeUnknown}
	ErrIndeterminate         = &Error{Code: CodeIndeterminate}
	ErrLimitExceeded         = &Error{Code: CodeLimitExceeded}
	ErrResourceExhausted     = &Error{Code: CodeResourceExhausted}
	ErrPermissionDenied      = &Error{Code: CodePermissionDenied}
	ErrValidation            = &Error{Code: CodeValidation}
	ErrProjectNotFound       = &Error{Code: CodeProjectNotFound}
	ErrScopeNotFound         = &Error{Code: CodeScopeNotFound}
	ErrTableNotFound         = &Error{Code: CodeTableNotFound}
	ErrIndexNotFound         = &Error{Code: CodeIndexNotFound}
	ErrProjectAlreadyExists  = &Error{Code: CodeProjectAlreadyExists}
	ErrScopeAlreadyExists    = &Error{Code: CodeScopeAlreadyExists}
	ErrTableAlreadyExists    = &Error{Code: CodeTableAlreadyExists}
	ErrIndexAlreadyExists    = &Error{Code: CodeIndexAlreadyExists}
	ErrUnknownColumn         = &Error{Code: CodeUnknownColumn}
	ErrTypeMismatch          = &Error{Code: CodeTypeMismatch}
	ErrNotNullViolation      = &Error{Code: CodeNotNullViolation}
	ErrDuplicatePrimaryKey   = &Error{Code: CodeDuplicatePrimaryKey}
	ErrUniqueViolation       = &Error{Code: CodeUniqueViolation}
	ErrForeignKeyViolation   = &Error{Code: CodeForeignKeyViolation}
	ErrCheckConstraint       = &Error{Code: CodeCheckConstraint}
	ErrRowNotFound           = &Error{Code: CodeRowNotFound}
	ErrOverflow              = &Error{Code: CodeOverflow}
	ErrUnderflow             = &Error{Code: CodeUnderflow}
	ErrIdempotencyMismatch   = &Error{Code: CodeIdempotencyMismatch}
	ErrConflict              = &Error{Code: CodeConflict}
	ErrAssertionFailed       = &Error{Code: CodeAssertionFailed}
	ErrColumnNotFound        = &Error{Code: CodeColumnNotFound}
	ErrInvalidQuery          = &Error{Code: CodeInvalidQuery}
	ErrScanBoundExceeded     = &Error{Code: CodeScanBoundExceeded}
	ErrMaterializationBudget = &Error{Code: CodeMaterializationBudget}
	ErrSeqNotYetVisible      = &Error{Code: CodeSeqNotYetVisible}
	ErrSeqGarbageCollected   = &Error{Code: CodeSeqGarbageCollected}
	ErrInvalidCursor         = &Error{Code: CodeInvalidCursor}
	ErrCursorExpired         = &Error{Code: CodeCursorExpired}
	ErrSnapshotExpired       = &Error{Code: CodeSnapshotExpired}
	ErrSnapshotLimit         = &Error{Code: CodeSnapshotLimit}
)
