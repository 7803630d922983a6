// Package errs holds the vocabulary of failure: one error type, a closed set of
// stable codes, and the class that tells a caller what to do about each.
//
// Callers match by code, never by text:
//
//	if errors.Is(err, errs.ErrConflict) { ... }
//	switch errs.ClassOf(err) { case errs.Retryable: ... }
package errs

import (
	"context"
	"errors"
	"fmt"
)

// Error is every failure that leaves the engine. The text is for people and is
// not part of the contract; Code, Class and the typed fields are.
type Error struct {
	// Code is the stable cause.
	Code Code
	// Message says what happened, naming the object concerned.
	Message string
	// Object is the name of the table, column, key, file or knob at fault, or "".
	Object string
	// Limit is the name of the limit that was met, or "".
	Limit string
	// Value and Max are what was asked and what is allowed, when Limit is set.
	Value, Max int64
	// Err is the cause, if there is one.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == "" && t.Err == nil
}

// Class returns the class of the error's code.
func (e *Error) Class() Class { return e.Code.Class() }

// IsRetryable reports whether the same request may succeed later.
func (e *Error) IsRetryable() bool { return e.Class() == Retryable }

// New returns an error with a formatted message. A %w verb in format wraps.
func New(code Code, format string, args ...any) *Error {
	f := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: f.Error(), Err: nil}
}

// Wrap returns an error of the given code around a cause.
func Wrap(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// Exceeded returns the limit_exceeded error for a named limit. The object is
// what was too large.
func Exceeded(object, limit string, value, max int64) *Error {
	return &Error{
		Code: CodeLimitExceeded, Object: object, Limit: limit, Value: value, Max: max,
		Message: fmt.Sprintf("%s is %d, limit %s is %d", object, value, limit, max),
	}
}

// On returns a copy of e that names the object concerned.
func (e *Error) On(object string) *Error {
	c := *e
	c.Object = object
	return &c
}

// FromContext maps the end of a context to timeout or canceled; the result
// matches both the code's sentinel and the context's own error.
func FromContext(ctx context.Context, doing string) *Error {
	err := ctx.Err()
	code := CodeCanceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = CodeTimeout
	}
	return &Error{Code: code, Message: doing, Err: err}
}

// CodeOf returns the code of the outermost engine error in the chain, or "" if
// there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// ClassOf returns the class of the outermost engine error in the chain. An
// error that is not ours counts as Integrity: nobody foresaw it.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class()
	}
	return Integrity
}
