// Package aedb is an embedded, transactional, durable storage engine: key-value
// data and typed tables in one store, changed by one totally ordered stream of
// atomic commits, whose finality can be seen, awaited and measured.
//
// # Opening
//
//	db, err := aedb.OpenNoAuth(dir, aedb.DefaultConfig())
//	if err != nil { ... }
//	defer db.Close(context.Background())
//
// A store is a directory, held by one process at a time. Opening after a crash
// recovers it; there is nothing to repair by hand. DefaultConfig loses nothing
// that was acknowledged.
//
// # Names
//
// Data lives under project -> scope. A scope holds any number of tables and one
// key-value space. A handle on a scope makes mutations, commits them and reads:
//
//	app := db.NoAuth().Scope("demo", "app")
//
// # Commits
//
// A commit is a list of mutations that happen at one commit seq, or not at all:
//
//	res, err := app.Commit(ctx,
//		app.Insert("users", aedb.Row{aedb.Int(1), aedb.Text("alice")}),
//		app.KvAddU64([]byte("users"), 1, aedb.TreatAsZero, aedb.RejectLimit),
//	)
//
// An Envelope adds assertions, which must hold at the commit point, a read set,
// an idempotency key, which makes a retry of the same request harmless, and a
// write class. Seqs are contiguous and rise in the order of commits.
//
// Preflight tells what an envelope would do, and Plan returns it with the read set
// that holds it to what it saw; CommitWithPreflight is both in one.
//
// # Finality
//
// A commit becomes visible, then durable. In Full mode both are the same moment.
// In the other modes it is visible when the operating system has it, and durable
// when the log has been synced. Submit returns a Ticket as soon as the request is
// admitted; Ticket.Visible and Ticket.Durable wait for either. A wait that is
// abandoned does not withdraw the commit. docs/configuration.md has, case by case,
// what an acknowledgement promises after a killed process and after a power cut.
//
// # Reads
//
// Every read sees one immutable snapshot and waits for nobody: AtLatest,
// AtDurable, AtSeq, AtCheckpoint. View and BeginRead hold one snapshot for many
// reads. Queries are built with package query:
//
//	page, err := app.Query(ctx, query.Select("id", "username").From("users").
//		Where(query.Eq("id", 1)))
//	for e, err := range app.KV().Prefix(ctx, []byte("user/")) { ... }
//
// # Reading from another process
//
// OpenReader shows a store without opening it, whoever has it open, changes nothing
// in its directory, and follows what is committed:
//
//	r, err := aedb.OpenReader(ctx, dir, aedb.DefaultConfig())
//	if err != nil { ... }
//	defer r.Close()
//	page, err := r.NoAuth().Scope("demo", "app").Query(ctx, query.Select("id").From("users"))
//
// # Transactions
//
// Update runs a closure on a snapshot; what it reads and writes commits as if it
// had run alone, and it is run again if it could not:
//
//	err := app.Update(ctx, func(tx *aedb.Tx) error {
//		v, _, err := tx.Get(ctx, []byte("balance"))
//		if err != nil { return err }
//		return tx.Set([]byte("balance"), next(v))
//	})
//
// # Errors
//
// Every error of the engine is an *Error with a stable Code and a Class that says
// what to do about it; match with errors.Is and the Err sentinels. Two codes need
// attention: commit_outcome_unknown says that a wait ended before the answer, so
// the commit may or may not happen; indeterminate says that the log broke down
// under the commit, and reopening tells. An idempotency key makes either safe to
// retry, and Session.Outcome tells what became of one.
//
// AdviceOf says what to do next, and Retry does it, with pauses that keep callers
// out of each other's way; docs/errors.md has every code. CommitOnce is the commit
// that may be repeated until it is answered:
//
//	err := aedb.Retry(ctx, aedb.RetryPolicy{Keyed: true}, func(ctx context.Context) error {
//		_, err := app.CommitOnce(ctx, key, envelope, aedb.Durable)
//		return err
//	})
//
// # Configuration
//
// DefaultConfig, ProductionConfig, LowLatencyConfig and DevelopmentConfig are
// complete configurations to start from. Opening names every rule that is broken.
// DB.Tune changes, while the store is open, what harms nobody: the limits of
// requests and reads, the triggers of checkpoints, how long things are remembered.
//
// # When something breaks
//
// An error of the disk under the log ends the pipeline for good: nothing is
// acknowledged any more, reads go on at the last published state, DB.Err tells
// the cause, and reopening recovers. A sync that has failed is never repeated.
//
// # Ownership and concurrency
//
// A DB, Session, Scope, Ticket and ReadTx may be used by any number of
// goroutines; a Tx belongs to its closure. Byte slices and rows given to the
// engine must not change until the commit has been submitted.
//
// What the engine returns stays valid and never changes. A single value that was
// asked for by its key, from KV.Get and its like, is the caller's own. Entries of
// scans and pages, and texts and bytes in rows, are lent: they share the memory of
// the store, so their slices must not be modified, and as long as one of them is
// held, a few KiB around it stay allocated. Whoever keeps a small part for long
// keeps a Clone of it.
package aedb
