package msgs

import "github.com/empyrealapp/aedb-go/value"

// ReadSet lists what a request was decided on. If any of it has changed by the
// commit point, the envelope fails with conflict. Version is that of the entry
// when it was read (0: not there), or any later seq at which it was known to be
// unchanged, such as the snapshot's.
type ReadSet struct {
	Keys      []KeyRead
	Rows      []RowRead
	KeyRanges []KeyRangeRead
	RowRanges []RowRangeRead
}

// KeyRead is one key that was read.
type KeyRead struct {
	Scope   ScopeName
	Key     []byte
	Version uint64
}

// RowRead is one row that was read, by primary key.
type RowRead struct {
	Table   TableName
	Key     []value.Value
	Version uint64
}

// KeyRangeRead is a range of keys [Start, End) that was read. A nil End means
// to the end of the scope. Version is the seq of the snapshot it was read at.
type KeyRangeRead struct {
	Scope      ScopeName
	Start, End []byte
	Version    uint64
}

// RowRangeRead is the band of rows whose primary key starts with Prefix, from
// Start to End; with none of them it is the whole table. Version is the seq of
// the snapshot it was read at.
type RowRangeRead struct {
	Table      TableName
	Prefix     []value.Value
	Start, End RowBound
	Version    uint64
}

// RowBound is one end of a range of rows: the leading values of their primary
// key. The rows that have these values are in the range unless it is Open there.
// The zero RowBound is none.
type RowBound struct {
	Key  []value.Value
	Open bool
}

// Dependencies is a read set bound to spaces: what the applier checks.
type Dependencies struct {
	Points []PointRead
	Ranges []RangeRead
}

// Empty reports whether there is nothing to check.
func (d *Dependencies) Empty() bool { return len(d.Points) == 0 && len(d.Ranges) == 0 }

// PointRead is one entry of a space that was read.
type PointRead struct {
	Space   SpaceID
	Key     []byte
	Version uint64
}

// RangeRead is a range [Start, End) of a space that was read; a nil End means
// to the end of the space.
type RangeRead struct {
	Space      SpaceID
	Start, End []byte
	Version    uint64
}
