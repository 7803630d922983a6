// Package store says what a store under measurement can do: one small interface
// per capability, and the levels of guarantee under which figures may be
// compared. A case asks for the capabilities it needs and runs on every store
// that has them.
//
// A store is used by many goroutines at once, except a Reader, which belongs to
// one. Keys and values that are given to a store do not change until the call
// returns; what a Reader returns stays valid until its next call.
package store

import "errors"

// Level is what an acknowledged write survives. Levels are ordered: a higher one
// keeps what a lower one keeps.
type Level uint8

// Levels.
const (
	// Memory survives nothing: it is gone with the process.
	Memory Level = iota
	// Process survives the death of the process, a SIGKILL too, because the
	// operating system has it. It does not survive a power cut.
	Process
	// Power survives a power cut: it was synced before it was acknowledged.
	Power
)

// String returns the word the report uses for the level.
func (l Level) String() string {
	return [...]string{"memory", "survives SIGKILL", "durable"}[l]
}

// Errors that callers tell apart.
var (
	// ErrNotFound is returned for a key that is not there.
	ErrNotFound = errors.New("not found")
	// ErrPoor is returned by a transfer that would overdraw an account.
	ErrPoor = errors.New("balance too low")
)

// Store is an open store. Close leaves it cleanly closed.
type Store interface {
	Close() error
}

// PointStore writes one entry per commit. A call returns when the write has
// reached the level at which the store was opened.
type PointStore interface {
	Store
	Put(key, val []byte) error
	Delete(key []byte) error
}

// BatchWriter writes many entries in one atomic commit.
type BatchWriter interface {
	Store
	PutBatch(keys, vals [][]byte) error
}

// AsyncPutter starts a commit and returns a function that waits for it. The
// slices may be used again when PutAsync has returned.
type AsyncPutter interface {
	Store
	PutAsync(key, val []byte) (wait func() error, err error)
}

// Transferer moves an amount between two entries that hold 8-byte big-endian
// balances, atomically and only if the first one has it.
type Transferer interface {
	Store
	Transfer(from, to []byte, amount uint64) error
}

// Reader reads entries, for one goroutine. Every call sees the newest state
// that was acknowledged before it.
type Reader interface {
	// Get returns the value, appended to buf or in memory of its own.
	Get(key, buf []byte) ([]byte, error)
	Close() error
}

// ReadStore has readers.
type ReadStore interface {
	Store
	NewReader() (Reader, error)
}

// ScanReader visits the entries whose keys begin with a prefix in ascending
// order, at most limit of them (0 is all), from one state. The slices are valid
// during the visit.
type ScanReader interface {
	Scan(prefix []byte, limit int, visit func(key, val []byte)) error
}

// ScanStore is a store whose readers are ScanReaders. It is a marker: the stores
// that only find single keys lack it.
type ScanStore interface {
	ReadStore
	Scans()
}

// Counter counts what is in the store, for the check that the work was done.
type Counter interface {
	Store
	Count() (int, error)
}

// Row is a row of the table of the row cases: primary key ID, an index on Owner
// and one on Amount.
type Row struct {
	ID     int64
	Owner  string
	Amount int64
	Active bool
	Note   string
}

// RowWriter adds rows in one atomic commit.
type RowWriter interface {
	Store
	InsertRows(rows []Row) error
}

// RowStore holds the table of the row cases.
type RowStore interface {
	RowWriter
	CountRows() (int, error)
	NewRowReader() (RowReader, error)
}

// RowReader reads rows, for one goroutine. Every value of every row is fetched.
type RowReader interface {
	ByID(id int64) (Row, error)
	// ByOwner visits the rows of one owner through the index.
	ByOwner(owner string, visit func(Row)) error
	// FromAmount visits at most limit rows with at least that amount, in the
	// order of the index.
	FromAmount(least int64, limit int, visit func(Row)) error
	Close() error
}

// TableMaker makes many tables, and holds on to snapshots, for the growth cases.
type TableMaker interface {
	Store
	MakeTables(n int) error
	// HoldSnapshot keeps the present state readable until release is called.
	HoldSnapshot() (release func(), err error)
}
