// Package importer brings the rows of a text file (TSV, CSV or JSON Lines, plain
// or gzip) into a table of an open store.
//
// One goroutine reads and converts the rows and makes batches of them. Several
// callers commit the batches, each batch as one atomic commit.
//
// Invariants:
//
//  1. A row is stored as the file has it or not at all. What does not fit its
//     column stops the import with an error that names line and column.
//  2. The first error stops everything. Batches already with the store are waited
//     for, so that the summary and the journal tell the whole truth.
//  3. A journal never lists a row that the store could lose: a batch is entered
//     after it is on stable storage.
package importer
