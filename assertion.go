package aedb

import (
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
)

// Assertion is a condition that must hold at the commit point. Make assertions
// with the methods of Scope.
type Assertion = msgs.Assertion

// AssertionError is the detail of assertion_failed; reach it with errors.As.
type AssertionError = msgs.AssertionError

// CompareOp compares an actual value with a threshold.
type CompareOp = msgs.CompareOp

// Comparisons.
const (
	Eq  = msgs.Eq
	Ne  = msgs.Ne
	Gt  = msgs.Gt
	Gte = msgs.Gte
	Lt  = msgs.Lt
	Lte = msgs.Lte
)

// KeyEquals holds when the key is there with exactly these bytes.
func (s *Scope) KeyEquals(key, expected []byte) Assertion {
	return msgs.KeyEquals{Scope: s.name(), Key: key, Expected: expected}
}

// KeyForm says how the bytes of a key are compared.
type KeyForm = msgs.KeyForm

// Forms.
const (
	// FormBytes compares byte by byte.
	FormBytes = msgs.FormBytes
	// FormUnsigned compares unsigned big-endian numbers of 8 or 32 bytes.
	FormUnsigned = msgs.FormUnsigned
	// FormSigned compares signed big-endian numbers of 8 bytes.
	FormSigned = msgs.FormSigned
)

// KeyCompare holds when the key is there and its bytes, taken in a form, compare
// so with the threshold.
func (s *Scope) KeyCompare(key []byte, form KeyForm, op CompareOp, threshold []byte) Assertion {
	return msgs.KeyCompare{Scope: s.name(), Key: key, Form: form, Op: op, Threshold: threshold}
}

// KeyExists holds when the presence of the key is as expected.
func (s *Scope) KeyExists(key []byte, expected bool) Assertion {
	return msgs.KeyExists{Scope: s.name(), Key: key, Expected: expected}
}

// KeyVersion holds when the key was last written by the given commit; 0 means
// that it is not there.
func (s *Scope) KeyVersion(key []byte, seq uint64) Assertion {
	return msgs.KeyVersion{Scope: s.name(), Key: key, Seq: seq}
}

// RowExists holds when the presence of the row is as expected.
func (s *Scope) RowExists(table string, key []Value, expected bool) Assertion {
	return msgs.RowExists{Table: s.table(table), Key: key, Expected: expected}
}

// RowVersion holds when the row was last written by the given commit; 0 means
// that it is not there.
func (s *Scope) RowVersion(table string, key []Value, seq uint64) Assertion {
	return msgs.RowVersion{Table: s.table(table), Key: key, Seq: seq}
}

// ColumnCompare holds when the row is there and its column compares so with the
// threshold, in the total order of values.
func (s *Scope) ColumnCompare(table string, key []Value, column string, op CompareOp, threshold Value) Assertion {
	return msgs.RowColumnCompare{Table: s.table(table), Key: key, Column: column, Op: op, Threshold: threshold}
}

// CountCompare holds when the number of rows for which a condition is true
// compares so with the threshold. The zero Expr counts all rows.
func (s *Scope) CountCompare(table string, where query.Expr, op CompareOp, threshold uint64) Assertion {
	return msgs.CountCompare{Table: s.table(table), Where: where, Op: op, Threshold: threshold}
}

// SumCompare holds when the sum of a numeric column, over the rows for which a
// condition is true, compares so with the threshold, which is of the column's
// kind. Null counts for nothing.
func (s *Scope) SumCompare(table, column string, where query.Expr, op CompareOp, threshold Value) Assertion {
	return msgs.SumCompare{Table: s.table(table), Column: column, Where: where, Op: op, Threshold: threshold}
}

// All holds when every inner assertion does.
func All(inner ...Assertion) Assertion { return msgs.All(inner) }

// Any holds when one inner assertion does.
func Any(inner ...Assertion) Assertion { return msgs.Any(inner) }

// Not holds when the inner assertion fails.
func Not(inner Assertion) Assertion { return msgs.Not{Inner: inner} }

// ReadSet lists what a request was decided on; see Envelope.
type ReadSet = msgs.ReadSet

// Parts of a ReadSet; make them with the methods of Scope.
type (
	KeyRead      = msgs.KeyRead
	RowRead      = msgs.RowRead
	KeyRangeRead = msgs.KeyRangeRead
	RowRangeRead = msgs.RowRangeRead
	RowBound     = msgs.RowBound
)

// KeyRead records the version of a key that was read, for a ReadSet.
func (s *Scope) KeyRead(key []byte, version uint64) KeyRead {
	return KeyRead{Scope: s.name(), Key: key, Version: version}
}

// RowRead records the version of a row that was read, for a ReadSet.
func (s *Scope) RowRead(table string, key []Value, version uint64) RowRead {
	return RowRead{Table: s.table(table), Key: key, Version: version}
}

// KeyRangeRead records that the keys in [start, end) were read at a snapshot,
// for a ReadSet. A nil end is the end of the scope.
func (s *Scope) KeyRangeRead(start, end []byte, snapshot uint64) KeyRangeRead {
	return KeyRangeRead{Scope: s.name(), Start: start, End: end, Version: snapshot}
}

// RowRangeRead records that the rows whose primary key starts with the prefix
// were read at a snapshot, for a ReadSet.
func (s *Scope) RowRangeRead(table string, prefix []Value, snapshot uint64) RowRangeRead {
	return RowRangeRead{Table: s.table(table), Prefix: prefix, Version: snapshot}
}
