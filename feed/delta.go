package feed

import (
	"time"

	"github.com/empyrealapp/aedb-go/value"
)

// Delta is what one commit changed. Its slices may be shared with other
// subscriptions and must not be modified; they stay valid.
type Delta struct {
	// Seq is the commit. A consumer that has handled it goes on from here.
	Seq uint64
	// Time is when the commit was made, in UTC; zero if Missed is set.
	Time time.Time
	// Changes are in the order in which they were made. Several changes of one row
	// are told one by one.
	Changes []Change
	// BeforeKnown is true if the changes tell what was there before. It is false
	// for a commit that was read from the log: Change.Before is empty then, and
	// whether a Put was an insert or an update is not known.
	BeforeKnown bool
	// Volatile marks a commit of that write class. Its changes are told from memory
	// only. One that was read from the log comes without them, whether they would
	// have been selected or not.
	Volatile bool
	// Missed, if not 0, says that this many commits up to Seq are no longer
	// retained and were passed over; see Options.SkipMissed. There is nothing else in
	// the delta.
	Missed uint64
}

// Change is one change of a row, of a key-value entry or of the schema.
type Change struct {
	Kind Kind
	// Project, Scope, Table and Index name what was changed, as far as it has
	// them: Table is empty for a key-value entry and whatever is above a table.
	Project, Scope, Table, Index string
	// Key is the key of a key-value entry; nil for anything else.
	Key []byte
	// PrimaryKey are the key values of a row; nil for anything else.
	PrimaryKey []value.Value
	// Before and After are the contents around the change.
	Before, After Content
}

// Content is what a row or a key-value entry holds: one of the two, or nothing if
// it does not exist, if it is not known, or with Options.KeysOnly.
type Content struct {
	// Row has one value per column of the table as it was then.
	Row value.Row
	// Value is that of a key-value entry.
	Value []byte
}

// Kind is what happened.
type Kind uint8

// Kinds of change. To drop an object removes what it holds; the rows of a table
// and the entries of a scope are not told of one by one then, objects within it
// are, before it.
const (
	// Insert made a row or an entry that did not exist.
	Insert Kind = iota + 1
	// Update replaced the content of one that did.
	Update
	// Put is an Insert or an Update, where it is not known which.
	Put
	// Delete removed a row or an entry.
	Delete

	CreateProject
	DropProject
	CreateScope
	DropScope
	// CreateTable made a table, with the indexes it was defined with.
	CreateTable
	DropTable
	CreateIndex
	// DropIndex removed an index of a table that stays.
	DropIndex
)

var kindNames = [...]string{
	Insert: "insert", Update: "update", Put: "put", Delete: "delete",
	CreateProject: "create project", DropProject: "drop project", CreateScope: "create scope", DropScope: "drop scope",
	CreateTable: "create table", DropTable: "drop table", CreateIndex: "create index", DropIndex: "drop index",
}

// String returns the kind in lower case.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}
