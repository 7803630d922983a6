package query

import (
	"encoding/binary"
	"slices"

	"github.com/empyrealapp/aedb-go/value"
)

// MaxOrderKeys bounds the sort keys of a query.
const MaxOrderKeys = 32

// Direction is the direction of a sort key.
type Direction uint8

// Directions. Null sorts first in ascending and last in descending order.
const (
	Asc  Direction = 0
	Desc Direction = 1
)

// OrderKey is one sort key.
type OrderKey struct {
	Column    string
	Direction Direction
}

// Window is the part of the result that is asked for.
type Window struct {
	// Limit is the number of rows wanted, if Limited. Zero is a limit too.
	Limit   int
	Limited bool
	// Offset is the number of rows to leave out first; it needs a limit.
	Offset int
}

// Query is one question to one table. Build it with Select; its fields are for
// those who execute it.
type Query struct {
	// Columns are the output columns in order. None, or "*" first, are all.
	Columns []string
	// Table is the name of a table in the scope the query runs in, or after the
	// prefix "_global." one in the scope "app" of the project "_global".
	Table string
	// Filter is the condition that rows have to meet.
	Filter Expr
	// Order are the sort keys, the first one foremost. Rows that are equal in
	// all of them are in ascending order of the primary key.
	Order  []OrderKey
	Window Window
	// Hint is the name of the index to read through, or "".
	Hint string
}

// Column describes one column of a result.
type Column struct {
	Name     string
	Kind     value.Kind
	Nullable bool
}

// Select starts a query for the named columns, or for all if none are named.
func Select(columns ...string) Query { return Query{Columns: slices.Clone(columns)} }

// From names the table.
func (q Query) From(table string) Query {
	q.Table = table
	return q
}

// Where adds a condition to those there are.
func (q Query) Where(e Expr) Query {
	if q.Filter.IsZero() {
		q.Filter = e
	} else {
		q.Filter = And(q.Filter, e)
	}
	return q
}

// OrderBy adds a sort key after those there are.
func (q Query) OrderBy(column string, d Direction) Query {
	q.Order = append(slices.Clip(q.Order), OrderKey{Column: column, Direction: d})
	return q
}

// Limit sets the number of rows wanted.
func (q Query) Limit(n int) Query {
	q.Window.Limit, q.Window.Limited = n, true
	return q
}

// Offset sets the number of rows to leave out first.
func (q Query) Offset(n int) Query {
	q.Window.Offset = n
	return q
}

// UseIndex makes the query read through the named index.
func (q Query) UseIndex(name string) Query {
	q.Hint = name
	return q
}

// Validate checks what can be checked without the table: the depth of the
// condition, the number of sort keys, and the window. Failures are
// invalid_query. What a condition says about columns is checked by Bind.
func (q Query) Validate() error {
	if err := q.Filter.Check(); err != nil {
		return err
	}
	if len(q.Order) > MaxOrderKeys {
		return tooMuch(ReasonTooManyOrder, "number of sort keys", "max_order_keys", len(q.Order), MaxOrderKeys)
	}
	w := q.Window
	if w.Offset < 0 || w.Limited && w.Limit < 0 {
		return Invalid(ReasonNegativeWindow, "limit and offset cannot be negative")
	}
	if w.Offset > 0 && !w.Limited {
		return Invalid(ReasonOffsetWithoutLimit, "an offset needs a limit")
	}
	return nil
}

// AppendCanonical appends an encoding of what the query lists to dst: table,
// condition, order and index hint. Equal bytes mean that one query can continue
// where a page of the other one ended, so the columns and the window, which may
// change between pages, are left out.
func (q Query) AppendCanonical(dst []byte) []byte {
	dst = appendName(dst, q.Table)
	dst = q.Filter.AppendCanonical(dst)
	dst = binary.AppendUvarint(dst, uint64(len(q.Order)))
	for _, k := range q.Order {
		dst = append(appendName(dst, k.Column), byte(k.Direction))
	}
	return appendName(dst, q.Hint)
}
