package catalog

import (
	"iter"
	"slices"

	"github.com/empyrealapp/aedb-go/value"
)

// SpaceID names one ordered key space of the store: the rows of a table, the
// entries of an index, the key-value space of a scope, or one of the engine's
// own. Ids are handed out by the catalog, strictly rising, and never reused, so
// a table that is dropped and made anew shares nothing with its predecessor.
type SpaceID uint64

// Spaces of the engine itself. User spaces start at FirstUserSpace.
const (
	// SpaceCatalog holds the catalog objects, one entry each.
	SpaceCatalog SpaceID = 1
	// SpaceIdempotency holds one record per remembered idempotency key.
	SpaceIdempotency SpaceID = 2
	// SpaceIdempotencyAge orders the records of SpaceIdempotency by commit seq.
	SpaceIdempotencyAge SpaceID = 3
	// FirstUserSpace is the lowest id that the catalog hands out.
	FirstUserSpace SpaceID = 64
)

// Project is the outermost namespace.
type Project struct {
	ID            SpaceID
	Name          string
	CreatedMicros int64
}

// Scope is a namespace of tables with one key-value space, whose id it shares.
type Scope struct {
	ID            SpaceID
	ProjectID     SpaceID
	Project       string
	Name          string
	CreatedMicros int64
}

// Column is one column of a table. The id stays when the name changes, and is
// what rows are stored by.
type Column struct {
	ID       value.ColumnID
	Name     string
	Kind     value.Kind
	Nullable bool
	// Default is stored where an insert leaves the column out; nil means none.
	Default *value.Value
}

// Index is an ordered secondary index.
type Index struct {
	ID   SpaceID
	Name string
	// Columns are positions in Table.Columns, in key order.
	Columns []int
	// Unique refuses two rows with equal values; a row with a Null among them
	// is exempt.
	Unique        bool
	CreatedMicros int64
}

// Table is the definition of a table. It is immutable.
type Table struct {
	ID            SpaceID
	ScopeID       SpaceID
	Project       string
	Scope         string
	Name          string
	CreatedMicros int64
	// Managed tables are written by the engine only.
	Managed bool
	// Columns are in the order of the user's rows.
	Columns []Column
	// PrimaryKey are positions in Columns, in key order.
	PrimaryKey []int
	// Indexes are in the order of their creation.
	Indexes []*Index

	nextColumn value.ColumnID
	positions  map[string]int // column name to position
	stored     []int          // positions of the columns outside the primary key, by column id
	keyOrdinal []int          // per column: place in the primary key, or -1
}

// Column returns the position of a named column.
func (t *Table) Column(name string) (position int, ok bool) {
	position, ok = t.positions[name]
	return position, ok
}

// KeyOrdinal returns the place of a column in the primary key, or -1.
func (t *Table) KeyOrdinal(position int) int { return t.keyOrdinal[position] }

// Stored returns the positions of the columns outside the primary key, in
// ascending order of their ids: the cells of an encoded row. The caller must
// not modify it.
func (t *Table) Stored() []int { return t.stored }

// Index returns the named index.
func (t *Table) Index(name string) (*Index, bool) {
	for _, x := range t.Indexes {
		if x.Name == name {
			return x, true
		}
	}
	return nil, false
}

// KeyOf returns the primary-key values of a full row.
func (t *Table) KeyOf(row value.Row) []value.Value {
	key := make([]value.Value, len(t.PrimaryKey))
	for i, p := range t.PrimaryKey {
		key[i] = row[p]
	}
	return key
}

// ColumnNames returns the names of all columns in order.
func (t *Table) ColumnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// String returns the table's full name, project.scope.table.
func (t *Table) String() string { return t.Project + "." + t.Scope + "." + t.Name }

// spaces yields the spaces of the table: those of its indexes, then its own.
func (t *Table) spaces() iter.Seq[SpaceID] {
	return func(yield func(SpaceID) bool) {
		for _, x := range t.Indexes {
			if !yield(x.ID) {
				return
			}
		}
		yield(t.ID)
	}
}

// derive fills the lookups that follow from the definition.
func (t *Table) derive() *Table {
	t.positions = make(map[string]int, len(t.Columns))
	t.keyOrdinal = make([]int, len(t.Columns))
	for i, c := range t.Columns {
		t.positions[c.Name] = i
		t.keyOrdinal[i] = -1
	}
	for k, p := range t.PrimaryKey {
		t.keyOrdinal[p] = k
	}
	t.stored = t.stored[:0]
	for i := range t.Columns {
		if t.keyOrdinal[i] < 0 {
			t.stored = append(t.stored, i)
		}
	}
	slices.SortFunc(t.stored, func(a, b int) int { return int(t.Columns[a].ID) - int(t.Columns[b].ID) })
	return t
}

// with returns a copy of the table with other indexes.
func (t *Table) with(indexes []*Index) *Table {
	c := *t
	c.Indexes = indexes
	c.stored = nil
	return c.derive()
}
