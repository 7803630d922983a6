package reader

import (
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// Defaults of Options.
const (
	DefaultMaxScanRows = 10_000
	DefaultMaxMemory   = 512 << 20
	// DefaultPageRows is the size of a page whose query has no limit.
	DefaultPageRows = 100
)

// Options bound what one query may cost.
type Options struct {
	// AllowFullScan admits a query with neither a limit nor a condition.
	AllowFullScan bool
	// MaxScanRows bounds the rows of a page with its offset, and the rows
	// examined by a query without a limit. 0 is DefaultMaxScanRows.
	MaxScanRows int
	// MaxExaminedRows bounds the rows examined by any query. 0 is no bound.
	MaxExaminedRows int
	// MaxMemory bounds the bytes of rows held for sorting, by an estimate. 0 is
	// DefaultMaxMemory.
	MaxMemory int64
}

func (o Options) withDefaults() Options {
	if o.MaxScanRows <= 0 {
		o.MaxScanRows = DefaultMaxScanRows
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	return o
}

// Request is a query and all around it that decides on the answer.
type Request struct {
	// Project and Scope are where the query's table is.
	Project, Scope string
	Names          *Names // of that scope; may be nil
	Query          query.Query
	// Cursor continues after the page that returned it, or is "". It is good for
	// the same query, in which columns and limit may differ, the same caller,
	// and the snapshot that Sealer.Peek tells.
	Cursor string
	// Caller is whom cursors are bound to.
	Caller string
	// Sealer makes and opens cursors. Without one there are none.
	Sealer  *Sealer
	Options Options
}

// Result is one page of rows.
type Result struct {
	Columns []query.Column
	// Rows have one value for each of Columns.
	Rows []value.Row
	// RowsExamined is the number of rows read, which includes the one that tells
	// whether there are more.
	RowsExamined int
	// Truncated is whether more rows follow.
	Truncated bool
	// Cursor continues after the last row. It is "" if no rows follow, and for a
	// page with an offset.
	Cursor string
	// SnapshotSeq is the seq of the commit that was read.
	SnapshotSeq uint64
}
