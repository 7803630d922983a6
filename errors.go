package aedb

import "github.com/empyrealapp/aedb-go/errs"

// Error is every failure that leaves the engine; reach it with errors.As. Its
// code and class are stable, its text is not.
type Error = errs.Error

// ErrorCode is the stable name of one cause of failure.
type ErrorCode = errs.Code

// ErrorClass tells what to do about a failure.
type ErrorClass = errs.Class

// Classes of failure.
const (
	// ClassValidation: fix the request.
	ClassValidation = errs.Validation
	// ClassRetryable: back off, then retry with the same idempotency key.
	ClassRetryable = errs.Retryable
	// ClassConflict: read again, and retry if it still makes sense.
	ClassConflict = errs.Conflict
	// ClassPermission: stop until identity or grants change.
	ClassPermission = errs.Permission
	// ClassIntegrity: stop; an operator has to act.
	ClassIntegrity = errs.Integrity
	// ClassUnavailable: wait for readiness, or reopen the store.
	ClassUnavailable = errs.Unavailable
)

// Advice tells what may be done next about a failed request.
type Advice = errs.Advice

// Advice; docs/errors.md has it for every code.
const (
	// AdviceStop: somebody has to act, on the data or on grants.
	AdviceStop = errs.Stop
	// AdviceRetrySame: no effect; back off and send the request again as it is.
	AdviceRetrySame = errs.RetrySame
	// AdviceReread: no effect; read again, and decide anew.
	AdviceReread = errs.Reread
	// AdviceLookUp: the outcome is unknown. Send the request again only under the
	// same idempotency key.
	AdviceLookUp = errs.LookUp
	// AdviceWait: the store takes no requests; wait, or reopen it.
	AdviceWait = errs.Wait
	// AdviceFix: the request fails whenever it is sent.
	AdviceFix = errs.Fix
)

// AdviceOf returns what to do about an error. For one that is not the engine's it
// is AdviceStop.
func AdviceOf(err error) Advice { return errs.AdviceOf(err) }

// CodeOf returns the code of an error, or "" if it is not one of the engine's.
func CodeOf(err error) ErrorCode { return errs.CodeOf(err) }

// ClassOf returns the class of an error. One that is not the engine's counts as
// ClassIntegrity.
func ClassOf(err error) ErrorClass { return errs.ClassOf(err) }

// Sentinels for errors.Is, one for each code. A sentinel has no detail: use
// errors.As with *Error for that.
var (
	ErrIO                    = errs.ErrIO
	ErrEncode                = errs.ErrEncode
	ErrDecode                = errs.ErrDecode
	ErrInvalidConfig         = errs.ErrInvalidConfig
	ErrIntegrity             = errs.ErrIntegrity
	ErrRecoveryIntegrity     = errs.ErrRecoveryIntegrity
	ErrUnavailable           = errs.ErrUnavailable
	ErrInternal              = errs.ErrInternal
	ErrQueueFull             = errs.ErrQueueFull
	ErrTimeout               = errs.ErrTimeout
	ErrCanceled              = errs.ErrCanceled
	ErrOutcomeUnknown        = errs.ErrOutcomeUnknown
	ErrIndeterminate         = errs.ErrIndeterminate
	ErrLimitExceeded         = errs.ErrLimitExceeded
	ErrResourceExhausted     = errs.ErrResourceExhausted
	ErrPermissionDenied      = errs.ErrPermissionDenied
	ErrValidation            = errs.ErrValidation
	ErrProjectNotFound       = errs.ErrProjectNotFound
	ErrScopeNotFound         = errs.ErrScopeNotFound
	ErrTableNotFound         = errs.ErrTableNotFound
	ErrIndexNotFound         = errs.ErrIndexNotFound
	ErrProjectAlreadyExists  = errs.ErrProjectAlreadyExists
	ErrScopeAlreadyExists    = errs.ErrScopeAlreadyExists
	ErrTableAlreadyExists    = errs.ErrTableAlreadyExists
	ErrIndexAlreadyExists    = errs.ErrIndexAlreadyExists
	ErrUnknownColumn         = errs.ErrUnknownColumn
	ErrTypeMismatch          = errs.ErrTypeMismatch
	ErrNotNullViolation      = errs.ErrNotNullViolation
	ErrDuplicatePrimaryKey   = errs.ErrDuplicatePrimaryKey
	ErrUniqueViolation       = errs.ErrUniqueViolation
	ErrForeignKeyViolation   = errs.ErrForeignKeyViolation
	ErrCheckConstraint       = errs.ErrCheckConstraint
	ErrRowNotFound           = errs.ErrRowNotFound
	ErrOverflow              = errs.ErrOverflow
	ErrUnderflow             = errs.ErrUnderflow
	ErrIdempotencyMismatch   = errs.ErrIdempotencyMismatch
	ErrConflict              = errs.ErrConflict
	ErrAssertionFailed       = errs.ErrAssertionFailed
	ErrColumnNotFound        = errs.ErrColumnNotFound
	ErrInvalidQuery          = errs.ErrInvalidQuery
	ErrScanBoundExceeded     = errs.ErrScanBoundExceeded
	ErrMaterializationBudget = errs.ErrMaterializationBudget
	ErrSeqNotYetVisible      = errs.ErrSeqNotYetVisible
	ErrSeqGarbageCollected   = errs.ErrSeqGarbageCollected
	ErrInvalidCursor         = errs.ErrInvalidCursor
	ErrCursorExpired         = errs.ErrCursorExpired
	ErrSnapshotExpired       = errs.ErrSnapshotExpired
	ErrSnapshotLimit         = errs.ErrSnapshotLimit
)
