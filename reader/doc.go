// Package reader answers reads from one snapshot: key-value gets and scans,
// rows by key or index, and queries. It has no actor. Everything runs on the
// caller's goroutine, holds no lock and writes nothing, so a read neither waits
// for a commit nor delays one.
//
// A query goes through three steps. The planner binds it to the table, turns
// its condition into ranges of keys of the primary key or of an index, and
// picks the cheapest such path. A scan visits the entries of the path in order,
// lazily. The executor filters, sorts only if the path does not have the order,
// and stops as soon as the page is full.
//
// Invariants:
//
//  1. Every order is total: ties are in ascending order of the primary key. The
//     rows of a query and their order do not depend on the path, except that a
//     query without an order gets that of its path.
//  2. The plan is a function of the snapshot and the query. A cursor names the
//     path of its first page, and the pages after it take that path.
//  3. What a Recorder is told covers all that the answer depends on: if nothing
//     it was told changes, the same plan gives the same answer. The choice of
//     a plan looks at the size of the table, which is not recorded: it decides
//     only what the query leaves open by not asking for an order.
//  4. What is handed out stays as it is. It is lent: entries, texts and bytes
//     share the memory of the source, which never changes, also where the source
//     is a transaction's own and is written to. Rows are cut from arenas of a few
//     dozen. Clone is for whoever keeps a small part for long.
//  5. Nothing remembered outlives the schema it was found in: Names go by the
//     catalog of the snapshot. Plans are made anew for each query; that takes
//     about as long as reading a few rows, and needs no cache to go stale.
package reader
