package msgs

// Caller identifies who asks.
type Caller struct {
	// ID is not blank and not "system".
	ID string
}

// WriteClass chooses what acknowledging a commit promises.
type WriteClass uint8

// Write classes.
const (
	// Standard commits are acknowledged as the store's durability mode says.
	Standard WriteClass = iota
	// Economic commits are on stable storage before they are visible, in every
	// durability mode.
	Economic
	// Volatile commits are visible at once and never logged: a crash loses them,
	// unless a checkpoint has been taken since. They write keys, and nothing that
	// later commits build on; they have no idempotency key. For state that is made
	// anew faster than it is worth keeping.
	Volatile
)

// IdempotencyKey identifies a request across retries.
type IdempotencyKey = [16]byte

// Envelope is one atomic request: all of it happens at one commit seq, or none.
type Envelope struct {
	// IdempotencyKey, if set, makes a retry of the same request a Duplicate.
	IdempotencyKey *IdempotencyKey
	// WriteClass is Standard by default.
	WriteClass WriteClass
	// Assertions must hold at the commit point, before the first mutation.
	Assertions []Assertion
	// ReadSet lists what the request was decided on.
	ReadSet ReadSet
	// Mutations are executed in order; at least one is required.
	Mutations []Mutation
	// BaseSeq is the snapshot the request was built on, for information; a seq
	// that is not visible yet is refused.
	BaseSeq uint64
}
