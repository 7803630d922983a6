package errs

// Code is the stable, machine-readable name of one cause of failure. The
// strings are a public contract: they are never renamed or reused.
type Code string

// Codes, grouped by the moment at which a caller meets them.
const (
	// Opening and operating a store.
	CodeIO                Code = "io"
	CodeEncode            Code = "encode"
	CodeDecode            Code = "decode"
	CodeInvalidConfig     Code = "invalid_config"
	CodeIntegrity         Code = "integrity_error"
	CodeRecoveryIntegrity Code = "recovery_integrity"
	CodeUnavailable       Code = "unavailable"
	CodeInternal          Code = "internal_error"

	// Admission and the wait for an answer.
	CodeQueueFull         Code = "queue_full"
	CodeTimeout           Code = "timeout"
	CodeCanceled          Code = "canceled"
	CodeOutcomeUnknown    Code = "commit_outcome_unknown"
	CodeIndeterminate     Code = "indeterminate"
	CodeLimitExceeded     Code = "limit_exceeded"
	CodeResourceExhausted Code = "resource_exhausted"
	CodePermissionDenied  Code = "permission_denied"

	// The request against the catalog and the rows.
	CodeValidation           Code = "validation"
	CodeProjectNotFound      Code = "project_not_found"
	CodeScopeNotFound        Code = "scope_not_found"
	CodeTableNotFound        Code = "table_not_found"
	CodeIndexNotFound        Code = "index_not_found"
	CodeProjectAlreadyExists Code = "project_already_exists"
	CodeScopeAlreadyExists   Code = "scope_already_exists"
	CodeTableAlreadyExists   Code = "table_already_exists"
	CodeIndexAlreadyExists   Code = "index_already_exists"
	CodeUnknownColumn        Code = "unknown_column"
	CodeTypeMismatch         Code = "type_mismatch"
	CodeNotNullViolation     Code = "not_null_violation"
	CodeDuplicatePrimaryKey  Code = "duplicate_primary_key"
	CodeUniqueViolation      Code = "unique_violation"
	CodeForeignKeyViolation  Code = "foreign_key_violation"
	CodeCheckConstraint      Code = "check_constraint_failed"
	CodeRowNotFound          Code = "row_not_found"
	CodeOverflow             Code = "overflow"
	CodeUnderflow            Code = "underflow"
	CodeIdempotencyMismatch  Code = "idempotency_mismatch"

	// Optimistic concurrency.
	CodeConflict        Code = "conflict"
	CodeAssertionFailed Code = "assertion_failed"

	// Reading.
	CodeColumnNotFound        Code = "column_not_found"
	CodeInvalidQuery          Code = "invalid_query"
	CodeScanBoundExceeded     Code = "scan_bound_exceeded"
	CodeMaterializationBudget Code = "materialization_budget_exceeded"
	CodeSeqNotYetVisible      Code = "seq_not_yet_visible"
	CodeSeqGarbageCollected   Code = "seq_garbage_collected"
	CodeInvalidCursor         Code = "invalid_cursor"
	CodeCursorExpired         Code = "cursor_expired"
	CodeSnapshotExpired       Code = "snapshot_expired"
	CodeSnapshotLimit         Code = "snapshot_limit_reached"
)

// Class tells a caller what to do about a failure. The set is closed and
// append-only.
type Class uint8

// Classes of failure, each with the advice it stands for.
const (
	// Validation: fix the request; retrying it unchanged fails again.
	Validation Class = iota
	// Retryable: back off, then retry with the same idempotency key.
	Retryable
	// Conflict: read again, retry only if the operation still makes sense.
	Conflict
	// Permission: stop until identity or grants change.
	Permission
	// Integrity: stop; an operator has to act.
	Integrity
	// Unavailable: wait for readiness, or reopen the store.
	Unavailable
)

// String returns the class in lower case, as used in logs and metrics.
func (c Class) String() string {
	switch c {
	case Validation:
		return "validation"
	case Retryable:
		return "retryable"
	case Conflict:
		return "conflict"
	case Permission:
		return "permission"
	case Integrity:
		return "integrity"
	case Unavailable:
		return "unavailable"
	}
	return "unknown"
}

// Class returns the class of the code. Every code not listed is Validation.
func (c Code) Class() Class {
	switch c {
	case CodeQueueFull, CodeTimeout, CodeCanceled, CodeOutcomeUnknown,
		CodeResourceExhausted, CodeSeqNotYetVisible, CodeCursorExpired,
		CodeSnapshotExpired, CodeSnapshotLimit:
		return Retryable
	case CodeConflict, CodeAssertionFailed:
		return Conflict
	case CodePermissionDenied:
		return Permission
	case CodeIO, CodeEncode, CodeDecode, CodeIntegrity, CodeRecoveryIntegrity, CodeInternal:
		return Integrity
	case CodeUnavailable, CodeIndeterminate, CodeScanBoundExceeded, CodeMaterializationBudget:
		return Unavailable
	}
	return Validation
}
