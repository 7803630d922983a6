// Package catalog holds the schema: projects, scopes, tables, columns and
// indexes, the rules that govern their names and definitions, and the
// definition statements that change them.
//
// A Catalog is a persistent value: applying a statement returns a new catalog
// and leaves the old one as it was, at a cost that does not depend on how many
// objects there are. So a snapshot carries the catalog of its own commit, a
// failed envelope costs nothing to undo, and any number of goroutines may read
// one catalog at once.
//
// Invariants:
//
//  1. Every object has an id, handed out in rising order and never used again.
//     The id of a scope names its key-value space, the id of a table its rows,
//     the id of an index its entries.
//  2. On disk an object is one entry of the catalog's own space (see Entry), so
//     definition and data travel in the same changeset.
//  3. Objects are immutable. A changed table is a new *Table with the same id;
//     two pointers being equal proves that nothing about the table changed.
package catalog
