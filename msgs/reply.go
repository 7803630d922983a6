package msgs

import "github.com/empyrealapp/aedb-go/value"

// Reply is what a mutation has to tell of what it did. Its values have memory of
// their own.
type Reply struct {
	// Mutation is the place of the mutation in its envelope.
	Mutation int
	// Affected is the number of rows or keys written or removed.
	Affected int
	// Value is the number that arithmetic left (U64, U256 or Integer for a key, the
	// column's kind for a cell), Null for other mutations and for a key that is
	// still missing. Version is that of its entry.
	Value   value.Value
	Version uint64
	// Rows are what UpdateRows and DeleteRows were asked to return, in the order in
	// which they were chosen.
	Rows []RowChange
}

// RowChange is one row before and after a mutation. After is nil for a row that
// was removed.
type RowChange struct {
	Before, After value.Row
}
