package aedb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/empyrealapp/aedb-go"
)

// What would this do? A preflight carries an envelope out on a private copy of the
// newest snapshot: the answer is that of a commit, and nothing has changed.
func ExampleScope_Preflight() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "bank"))
	app := db.NoAuth().Scope("bank", "app")
	must(app.Commit(ctx, app.KvSetU64([]byte("alice"), 100)))

	pay := func(amount uint64) aedb.Envelope {
		return aedb.Envelope{Mutations: []aedb.Mutation{
			app.KvSubU64([]byte("alice"), amount, aedb.RejectMissing, aedb.RejectLimit),
			app.KvAddU64([]byte("bob"), amount, aedb.TreatAsZero, aedb.RejectLimit),
		}}
	}
	preview := must(app.Preflight(ctx, pay(70)))
	fmt.Println("left:", preview.Replies[0].Value.AsU64())

	_, err := app.Preflight(ctx, pay(170))
	var at *aedb.MutationError
	fmt.Println(errors.Is(err, aedb.ErrUnderflow), errors.As(err, &at), at.Index)
	// Output:
	// left: 30
	// true true 0
}

// A plan is an envelope that holds to what its preview saw: if that has changed,
// its commit is a conflict, and the newer state stays.
func ExampleScope_Plan() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "shop"))
	app := db.NoAuth().Scope("shop", "app")
	price := []byte("price")
	must(app.Commit(ctx, app.KvSet(price, []byte("10"))))

	plan := must(app.Plan(ctx, aedb.Envelope{Mutations: []aedb.Mutation{app.KvSet(price, []byte("12"))}}))
	must(app.Commit(ctx, app.KvSet(price, []byte("11")))) // somebody was faster
	_, err := app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible)
	fmt.Println(aedb.CodeOf(err), aedb.AdviceOf(err))
	// Output: conflict reread
}

// A charge that happens once. The key comes with the order, so it is the same in
// every attempt, and in another process after a crash; with it, even an attempt
// whose outcome is unknown may be repeated.
func ExampleRetry() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.As("billing").Scope("demo", "app")

	order := aedb.IdempotencyKey{'o', 'r', 'd', 'e', 'r', '-', '7'}
	charge := func(ctx context.Context) error {
		_, err := app.CommitOnce(ctx, order, aedb.Envelope{Mutations: []aedb.Mutation{
			app.KvAddU64([]byte("charged"), 25, aedb.TreatAsZero, aedb.RejectLimit),
		}}, aedb.Durable)
		return err
	}
	policy := aedb.RetryPolicy{Attempts: 5, Budget: 10 * time.Second, AttemptTimeout: 2 * time.Second, Keyed: true}
	if err := aedb.Retry(ctx, policy, charge); err != nil {
		log.Fatal(err)
	}
	if err := aedb.Retry(ctx, policy, charge); err != nil { // the message was delivered twice
		log.Fatal(err)
	}
	preview := must(app.Preflight(ctx, aedb.Envelope{Mutations: []aedb.Mutation{
		app.KvAddU64([]byte("charged"), 0, aedb.TreatAsZero, aedb.RejectLimit),
	}}))
	fmt.Println(preview.Replies[0].Value.AsU64())
	// Output: 25
}

// The seq of a request sent again is that of the commit that it made.
func ExampleScope_CommitOnce() {
	ctx := context.Background()
	db, done := open()
	defer done()
	must(db.NoAuth().CreateProject(ctx, "demo"))
	app := db.As("billing").Scope("demo", "app")

	key := aedb.NewIdempotencyKey()
	welcome := aedb.Envelope{Mutations: []aedb.Mutation{app.EmitEvent("mail", "welcome-7", `{"to":"alice"}`)}}
	first := must(app.CommitOnce(ctx, key, welcome, aedb.Visible))
	again := must(app.CommitOnce(ctx, key, welcome, aedb.Visible))
	fmt.Println(first.Outcome, again.Outcome, first.CommitSeq == again.CommitSeq)
	// Output: applied duplicate true
}

// A profile is a complete configuration for a purpose; what is in Tuning can be
// changed while the store is open.
func ExampleDB_Tune() {
	ctx := context.Background()
	dir := must(os.MkdirTemp("", "aedb-example-*"))
	defer os.RemoveAll(dir)
	cfg := aedb.LowLatencyConfig()
	cfg.Limits.BatchRows = 1000
	db := must(aedb.OpenNoAuth(dir, cfg))
	defer db.Close(ctx)

	err := db.Tune(func(t *aedb.Tuning) { t.Limits.BatchRows = 50_000 })
	fmt.Println(err, db.Config().Limits.BatchRows, db.Config().Durability)

	err = db.Tune(func(t *aedb.Tuning) { t.Limits.BatchRows, t.UpdateRetries = 0, -1 })
	fmt.Println(errors.Is(err, aedb.ErrInvalidConfig), db.Config().Limits.BatchRows)
	// Output:
	// <nil> 50000 batch
	// true 50000
}
