package errs

import "errors"

// Advice tells what a caller may do next about a failed request. It says more than
// the class: of two errors that may go away by themselves, one leaves the request
// without effect, the other leaves open whether it had one.
type Advice uint8

// Advice, from the most to the least that may be done without thinking.
const (
	// Stop: nothing that the caller does helps. Somebody has to act: on the data
	// (integrity), or on identity and grants (permission).
	Stop Advice = iota
	// RetrySame: the request has no effect, and the reason passes. Back off, then
	// send it again as it is.
	RetrySame
	// Reread: the request has no effect, and the state it was decided on is no more.
	// Read again, decide again, and send what comes of that.
	Reread
	// LookUp: the request may have been applied, now or in a moment. Do not send it
	// again, unless under the same idempotency key: that finds out.
	LookUp
	// Wait: the store takes no requests. Wait until it does, or reopen it.
	Wait
	// Fix: the request fails whenever it is sent. Change it.
	Fix
)

// String returns the advice in lower case, as used in logs and metrics.
func (a Advice) String() string {
	switch a {
	case RetrySame:
		return "retry_same"
	case Reread:
		return "reread"
	case LookUp:
		return "look_up"
	case Wait:
		return "wait"
	case Fix:
		return "fix"
	}
	return "stop"
}

// Advice returns what to do about a failure with this code.
func (c Code) Advice() Advice {
	switch c {
	case CodeOutcomeUnknown, CodeIndeterminate:
		return LookUp
	case CodeCursorExpired, CodeSnapshotExpired, CodeSeqGarbageCollected:
		return Reread
	case CodeScanBoundExceeded, CodeMaterializationBudget:
		return Fix
	}
	switch c.Class() {
	case Retryable:
		return RetrySame
	case Conflict:
		return Reread
	case Unavailable:
		return Wait
	case Validation:
		return Fix
	}
	return Stop
}

// AdviceOf returns what to do about an error: the advice of the outermost engine
// error in the chain, but Fix if that names a limit, since what is above a limit
// once is above it always. For an error that is not ours it is Stop: nobody
// foresaw it.
func AdviceOf(err error) Advice {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return Stop
	case e.Limit != "":
		return Fix
	}
	return e.Code.Advice()
}
