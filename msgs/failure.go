package msgs

import "fmt"

// MutationError tells which mutation of an envelope a refusal is about; reach it
// with errors.As. The cause is what it wraps, so it has that one's code.
type MutationError struct {
	// Index is the place of the mutation in its envelope, from 0.
	Index int
	Err   error
}

// Error implements error.
func (e *MutationError) Error() string {
	return fmt.Sprintf("%v (mutation %d)", e.Err, e.Index)
}

// Unwrap returns the cause.
func (e *MutationError) Unwrap() error { return e.Err }
