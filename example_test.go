package aedb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// open opens a store in a fresh directory, for the examples.
func open() (db *aedb.DB, closeAndRemove func()) {
	dir, err := os.MkdirTemp("", "aedb-example-*")
	if err != nil {
		log.Fatal(err)
	}
	db, err = aedb.OpenNoAuth(dir, aedb.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(context.Background()), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// The first steps: a project, a table, a row, a query.
func Example() {
	ctx := context.Background()
	db, done := open()
	defer done()

	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.NoAuth().Scope("demo", "app")
	must(app.Commit(ctx, app.CreateTable("users", aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger), aedb.Column("username", aedb.TypeText)},
		PrimaryKey: []string{"id"},
	})))
	must(app.Commit(ctx, app.Insert("users", aedb.Row{aedb.Int(1), aedb.Text("alice")})))

	result := must(app.Query(ctx, query.Select("id", "username").From("users").Where(query.Eq("id", 1))))
	for _, row := range result.Rows {
		fmt.Println(row[0], row[1])
	}
	// Output: 1 alice
}

// A transfer as an interactive transaction: read, decide, write. It runs again
// if somebody else changed what it read.
func ExampleScope_Update() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "bank"))
	app := db.NoAuth().Scope("bank", "app")
	must(app.Commit(ctx, app.CreateTable("accounts", aedb.TableSpec{
		Columns:    []aedb.ColumnSpec{aedb.Column("owner", aedb.TypeText), aedb.Column("balance", aedb.TypeInteger)},
		PrimaryKey: []string{"owner"},
	}), app.InsertBatch("accounts", []aedb.Row{
		{aedb.Text("alice"), aedb.Int(100)}, {aedb.Text("bob"), aedb.Int(20)},
	})))

	errPoor := errors.New("not enough money")
	transfer := func(from, to string, amount int64) error {
		return app.Update(ctx, func(tx *aedb.Tx) error {
			balance := func(owner string) (int64, error) {
				row, _, err := tx.Row(ctx, "accounts", aedb.Text(owner))
				if err != nil || row == nil {
					return 0, errors.Join(err, fmt.Errorf("no account of %s", owner))
				}
				return row[1].AsInt(), nil
			}
			a, err := balance(from)
			if err != nil {
				return err
			}
			b, err := balance(to)
			if err != nil {
				return err
			}
			if a < amount {
				return errPoor
			}
			return tx.Do(
				app.Upsert("accounts", aedb.Row{aedb.Text(from), aedb.Int(a - amount)}),
				app.Upsert("accounts", aedb.Row{aedb.Text(to), aedb.Int(b + amount)}),
			)
		})
	}
	fmt.Println(transfer("alice", "bob", 70))
	fmt.Println(transfer("alice", "bob", 70))
	for row, err := range app.Rows(ctx, query.Select().From("accounts"), aedb.AllowFullScan()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row[0], row[1])
	}
	// Output:
	// <nil>
	// not enough money
	// alice 30
	// bob 90
}

// Finality: a commit is visible first and durable later. In Batch mode the two
// are apart, and a caller chooses which one to wait for.
func ExampleTicket() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "aedb-example-*"))
	defer os.RemoveAll(dir)
	cfg := aedb.DefaultConfig()
	cfg.Durability = aedb.Batch
	db := must(aedb.OpenNoAuth(dir, cfg))
	defer db.Close(ctx)
	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.NoAuth().Scope("demo", "app")

	ticket := must(app.Submit(ctx, aedb.Envelope{
		Mutations: []aedb.Mutation{app.KvSet([]byte("greeting"), []byte("hello"))},
	}))
	visible := must(ticket.Visible(ctx))
	entry, _, err := app.KV().Get(ctx, []byte("greeting"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("visible: %s\n", entry.Value)

	durable := must(ticket.Durable(ctx))
	fmt.Println("durable:", durable.DurableSeq >= visible.CommitSeq)
	// Output:
	// visible: hello
	// durable: true
}

// A request with an idempotency key happens once, however often it is sent.
func ExampleEnvelope() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.As("billing").Scope("demo", "app")

	key := aedb.IdempotencyKey{'o', 'r', 'd', 'e', 'r', '-', '7'}
	charge := aedb.Envelope{
		IdempotencyKey: &key,
		Mutations:      []aedb.Mutation{app.KvAddU64([]byte("charged"), 25, aedb.TreatAsZero, aedb.RejectLimit)},
	}
	first := must(app.CommitEnvelope(ctx, charge, aedb.Durable))
	again := must(app.CommitEnvelope(ctx, charge, aedb.Durable))
	fmt.Println(first.Outcome, again.Outcome, first.CommitSeq == again.CommitSeq)
	// Output: applied duplicate true
}

// A read transaction sees one state, whatever is committed meanwhile.
func ExampleSession_BeginRead() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.NoAuth().Scope("demo", "app")
	must(app.Commit(ctx, app.KvSet([]byte("k"), []byte("old"))))

	tx := must(db.NoAuth().BeginRead(ctx, aedb.AtLatest))
	defer tx.Close()
	must(app.Commit(ctx, app.KvSet([]byte("k"), []byte("new"))))

	then, _, err := tx.Scope("demo", "app").KV().Get(ctx, []byte("k"))
	if err != nil {
		log.Fatal(err)
	}
	now, _, err := app.KV().Get(ctx, []byte("k"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %s\n", then.Value, now.Value)
	// Output: old new
}
