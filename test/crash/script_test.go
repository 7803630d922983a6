package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
)

// step is one operation of the script. The clock moves between steps only.
type step struct {
	name string
	run  func(ctx context.Context, s *store) error
}

// script is a list of steps under construction. Handles are made within the
// steps, for the store is reopened on the way.
type script struct{ steps []step }

func (b *script) do(name string, run func(ctx context.Context, s *store) error) {
	b.steps = append(b.steps, step{name, run})
}

// app adds one commit in the scope that most of the script works in.
func (b *script) app(name string, mutations func(app *aedb.Scope) []aedb.Mutation) {
	b.do(name, func(ctx context.Context, s *store) error {
		app := s.scope("bank", "app")
		_, err := app.Commit(ctx, mutations(app)...)
		return err
	})
}

// refused adds a commit that the engine has to refuse, which leaves no trace.
func (b *script) refused(name string, want error, mutations func(app *aedb.Scope) []aedb.Mutation) {
	b.do(name, func(ctx context.Context, s *store) error {
		app := s.scope("bank", "app")
		_, err := app.Commit(ctx, mutations(app)...)
		if errors.Is(err, want) {
			return nil
		}
		return errors.Join(err, errIf(err == nil, "%s was not refused", name))
	})
}

// envelope adds one commit of an envelope, with a check of its result.
func (b *script) envelope(name string, make func(app *aedb.Scope) aedb.Envelope, check func(aedb.Result) error) {
	b.do(name, func(ctx context.Context, s *store) error {
		app := s.db.As("teller").Scope("bank", "app")
		r, err := app.CommitEnvelope(ctx, make(app), aedb.Visible)
		if err != nil || check == nil {
			return err
		}
		return check(r)
	})
}

func errIf(broken bool, format string, args ...any) error {
	if !broken {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func key(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }

// filler returns n bytes that compress badly and repeat from run to run.
func filler(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

func account(id int64) aedb.Row {
	return aedb.Row{aedb.Int(id), aedb.Text(fmt.Sprintf("owner-%d", id%7)), aedb.Int(100 * id), aedb.Null()}
}

func one(m aedb.Mutation) []aedb.Mutation { return []aedb.Mutation{m} }

// fullScript is every way to write, in an order that makes them meet: indexes
// over rows that are there, drops of what was just written, requests repeated
// before and after a restart, checkpoints and rotations in between.
func fullScript() []step {
	var b script
	b.do("open", func(ctx context.Context, s *store) error { return s.open(ctx) })
	b.definitions()
	b.keyValues()
	b.rows()
	b.indexes()
	b.do("checkpoint", checkpointStep)
	b.requests()
	b.restart("close with a checkpoint and reopen", true)
	b.repeatedRequests()
	b.transactions()
	b.finality()
	b.restart("close without a checkpoint and reopen", false)
	b.large()
	b.tune("keep one checkpoint", func(t *aedb.Tuning) { t.Checkpoint.Kept = 1 })
	b.do("checkpoint again", checkpointStep)
	b.tune("keep three checkpoints", func(t *aedb.Tuning) { t.Checkpoint.Kept = 3 })
	b.drops()
	b.afterwards()
	b.do("close", func(ctx context.Context, s *store) error { return s.close(ctx) })
	return b.steps
}

func checkpointStep(ctx context.Context, s *store) error {
	if s.logOnly {
		return nil
	}
	seq, err := s.db.Checkpoint(ctx)
	if err != nil {
		return err
	}
	visible := s.db.Heads().VisibleSeq
	return errIf(seq != visible, "the checkpoint shows commit %d, the readers %d", seq, visible)
}

// restart adds a clean stop and a start. An open that fails is reported alone:
// the caller of the step sees that the store is not open.
func (b *script) restart(name string, withCheckpoint bool) {
	b.do(name, func(ctx context.Context, s *store) error {
		s.cfg.Checkpoint.OnClose = withCheckpoint && !s.logOnly
		if err := s.close(ctx); err != nil {
			return err
		}
		s.restarts++
		if s.between != nil {
			s.between(&s.cfg, s.restarts)
		}
		return s.open(ctx)
	})
}

// tune adds a change of the bounds of the open store, which writes nothing.
func (b *script) tune(name string, change func(*aedb.Tuning)) {
	b.do(name, func(_ context.Context, s *store) error { return s.db.Tune(change) })
}

func (b *script) definitions() {
	b.do("create project", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().CreateProject(ctx, "bank")
		return err
	})
	b.do("create project again", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().CreateProject(ctx, "bank")
		return err
	})
	b.do("create another project", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().CreateProject(ctx, "scratch")
		return err
	})
	for _, name := range []string{"audit", "archive"} {
		b.do("create scope "+name, func(ctx context.Context, s *store) error {
			_, err := s.db.NoAuth().CreateScope(ctx, "bank", name)
			return err
		})
	}
	b.app("create table accounts", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.CreateTable("accounts", aedb.TableSpec{
			Columns: []aedb.ColumnSpec{
				aedb.Column("id", aedb.TypeInteger), aedb.Column("owner", aedb.TypeText),
				aedb.Column("balance", aedb.TypeInteger), aedb.NullableColumn("note", aedb.TypeText),
			},
			PrimaryKey: []string{"id"},
			Indexes:    []aedb.IndexSpec{{Name: "by_owner", Columns: []string{"owner"}}},
		}))
	})
	b.app("create table entries, with its first rows", func(app *aedb.Scope) []aedb.Mutation {
		return []aedb.Mutation{
			app.CreateTable("entries", aedb.TableSpec{
				Columns: []aedb.ColumnSpec{
					aedb.Column("account", aedb.TypeInteger), aedb.Column("n", aedb.TypeU64),
					aedb.Column("amount", aedb.TypeI256), aedb.NullableColumn("memo", aedb.TypeBlob),
				},
				PrimaryKey: []string{"account", "n"},
			}),
			app.Insert("entries", aedb.Row{aedb.Int(1), aedb.U64(1), aedb.I256(uint256.NewInt(7)), aedb.Null()}),
		}
	})
}

func (b *script) keyValues() {
	for i := range 12 {
		b.app(fmt.Sprintf("set key %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvSet(key("user/%02d", i), filler(20+40*i, uint32(i))))
		})
	}
	for i := range 4 {
		b.app(fmt.Sprintf("overwrite key %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvSet(key("user/%02d", i), filler(5+i, 99)))
		})
	}
	for i := range 3 {
		b.app(fmt.Sprintf("delete key %d", 3*i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvDel(key("user/%02d", 3*i)))
		})
	}
	b.app("delete a key that is not there", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.KvDel(key("user/none")))
	})
	for i := range 5 {
		b.app(fmt.Sprintf("add %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvAddU64(key("count/%d", i%2), uint64(10+i), aedb.TreatAsZero, aedb.RejectLimit))
		})
	}
	b.app("subtract", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.KvSubU64(key("count/0"), 5, aedb.RejectMissing, aedb.RejectLimit))
	})
	b.app("subtract too much, as a no-op", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.KvSubU64(key("count/1"), 1<<40, aedb.RejectMissing, aedb.NoOp))
	})
	b.refused("subtract too much", aedb.ErrUnderflow, func(app *aedb.Scope) []aedb.Mutation {
		return one(app.KvSubU64(key("count/1"), 1<<40, aedb.RejectMissing, aedb.RejectLimit))
	})
	b.app("saturate", func(app *aedb.Scope) []aedb.Mutation {
		return []aedb.Mutation{
			app.KvAddU64(key("count/2"), 1<<63, aedb.TreatAsZero, aedb.RejectLimit),
			app.KvAddU64(key("count/2"), 1<<63, aedb.TreatAsZero, aedb.Saturate),
		}
	})
	for i := range 3 {
		b.app(fmt.Sprintf("add wide %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvAddU256(key("wide"), new(uint256.Int).Lsh(uint256.NewInt(1), uint(100+i)), aedb.TreatAsZero, aedb.RejectLimit))
		})
	}
	b.app("subtract wide", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.KvSubU256(key("wide"), uint256.NewInt(1), aedb.RejectMissing, aedb.RejectLimit))
	})
}

func (b *script) rows() {
	for i := range int64(12) {
		b.app(fmt.Sprintf("insert account %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.Insert("accounts", account(i)))
		})
	}
	b.refused("insert an account twice", aedb.ErrDuplicatePrimaryKey, func(app *aedb.Scope) []aedb.Mutation {
		return []aedb.Mutation{app.KvSet(key("lost"), nil), app.Insert("accounts", account(3))}
	})
	b.app("insert a batch", func(app *aedb.Scope) []aedb.Mutation {
		rows := make([]aedb.Row, 40)
		for i := range rows {
			rows[i] = account(int64(100 + i))
		}
		return one(app.InsertBatch("accounts", rows))
	})
	b.app("insert into some columns", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.InsertInto("accounts", []string{"id", "owner", "balance"},
			aedb.Row{aedb.Int(200), aedb.Text("owner-1"), aedb.Int(1)},
			aedb.Row{aedb.Int(201), aedb.Text("owner-2"), aedb.Int(2)}))
	})
	for i := range int64(4) {
		b.app(fmt.Sprintf("upsert account %d", 10+i), func(app *aedb.Scope) []aedb.Mutation {
			row := account(10 + i) // two of them are there
			row[1], row[3] = aedb.Text("owner-new"), aedb.Text("upserted")
			return one(app.Upsert("accounts", row))
		})
	}
	b.app("upsert a batch with one key twice", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.UpsertBatch("accounts", []aedb.Row{account(105), account(300), account(301), account(300)}))
	})
	for i := range int64(5) {
		b.app(fmt.Sprintf("update account %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.UpdateFields("accounts", []aedb.Value{aedb.Int(i)},
				aedb.Set("owner", aedb.Text(fmt.Sprintf("moved-%d", i))), aedb.Set("note", aedb.Text(string(bytes.Repeat([]byte("n"), int(30*i)))))))
		})
	}
	for i := range int64(4) {
		b.app(fmt.Sprintf("delete account %d", 2*i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.Delete("accounts", aedb.Int(2*i)))
		})
	}
	for i := range 4 {
		b.app(fmt.Sprintf("insert entry %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.Insert("entries", aedb.Row{
				aedb.Int(int64(i % 2)), aedb.U64(uint64(10 + i)),
				aedb.I256(new(uint256.Int).Neg(uint256.NewInt(uint64(i)))), aedb.Blob(filler(300*i, uint32(i))),
			}))
		})
	}
}

func (b *script) indexes() {
	b.app("index rows that are there", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.CreateIndex("accounts", aedb.IndexSpec{Name: "by_balance", Columns: []string{"balance", "owner"}}))
	})
	b.app("index them uniquely", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.CreateIndex("accounts", aedb.IndexSpec{Name: "unique_note", Columns: []string{"note", "id"}, Unique: true}))
	})
	b.refused("index uniquely what is not", aedb.ErrUniqueViolation, func(app *aedb.Scope) []aedb.Mutation {
		return one(app.CreateIndex("accounts", aedb.IndexSpec{Name: "no", Columns: []string{"owner"}, Unique: true}))
	})
	for i := range int64(4) {
		b.app(fmt.Sprintf("update under three indexes %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.UpdateFields("accounts", []aedb.Value{aedb.Int(100 + i)},
				aedb.Set("balance", aedb.Int(-i)), aedb.Set("note", aedb.Text("indexed"))))
		})
	}
	b.app("drop an index", func(app *aedb.Scope) []aedb.Mutation { return one(app.DropIndex("accounts", "by_balance")) })
	b.app("make it again", func(app *aedb.Scope) []aedb.Mutation {
		return one(app.CreateIndex("accounts", aedb.IndexSpec{Name: "by_balance", Columns: []string{"balance"}}))
	})
}

func requestKey(n byte) *aedb.IdempotencyKey { return &aedb.IdempotencyKey{'r', n} }

// charge is the request that the script repeats.
func charge(n byte, amount uint64) func(app *aedb.Scope) aedb.Envelope {
	return func(app *aedb.Scope) aedb.Envelope {
		return aedb.Envelope{IdempotencyKey: requestKey(n), Mutations: []aedb.Mutation{
			app.KvAddU64(key("charged/%d", n), amount, aedb.TreatAsZero, aedb.RejectLimit),
			app.EmitEvent("charges", fmt.Sprintf("charge-%d", n), `{"amount":1}`),
		}}
	}
}

func duplicate(r aedb.Result) error {
	return errIf(r.Outcome != aedb.Duplicate, "a repeated request was applied as commit %d", r.CommitSeq)
}

func applied(r aedb.Result) error {
	return errIf(r.Outcome != aedb.Applied, "a new request was taken for commit %d", r.CommitSeq)
}

func (b *script) requests() {
	for n := range byte(4) {
		b.envelope(fmt.Sprintf("request %d", n), charge(n, 5), applied)
	}
	for n := range byte(2) {
		b.envelope(fmt.Sprintf("request %d repeated", n), charge(n, 5), duplicate)
	}
	b.do("request 0 altered", func(ctx context.Context, s *store) error {
		app := s.db.As("teller").Scope("bank", "app")
		_, err := app.CommitEnvelope(ctx, charge(0, 6)(app), aedb.Visible)
		if errors.Is(err, aedb.ErrIdempotencyMismatch) {
			return nil
		}
		return errors.Join(err, errIf(err == nil, "it was not refused"))
	})
	for i := range 3 {
		b.app(fmt.Sprintf("event %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.EmitEvent("audit", fmt.Sprintf("e%d", i), `{"of":"script"}`))
		})
	}
	b.envelope("an envelope of everything, with conditions", func(app *aedb.Scope) aedb.Envelope {
		return aedb.Envelope{
			Assertions: []aedb.Assertion{
				aedb.Any(app.KeyExists(key("nowhere"), true), app.RowExists("accounts", []aedb.Value{aedb.Int(1)}, true)),
				aedb.Not(app.RowExists("accounts", []aedb.Value{aedb.Int(999)}, true)),
			},
			Mutations: []aedb.Mutation{
				app.KvSet(key("mixed"), key("value")), app.Upsert("accounts", account(999)),
				app.Delete("accounts", aedb.Int(101)), app.EmitEvent("audit", "mixed", `{}`),
				aedb.Check(app.KeyExists(key("mixed"), true)),
			},
		}
	}, applied)
	b.refused("a check that fails at the end", aedb.ErrAssertionFailed, func(app *aedb.Scope) []aedb.Mutation {
		return []aedb.Mutation{app.Delete("accounts", aedb.Int(999)), aedb.Check(app.KeyExists(key("mixed"), false))}
	})
}

func (b *script) repeatedRequests() {
	for n := range byte(3) {
		b.envelope(fmt.Sprintf("request %d repeated after a restart", n), charge(n, 5), duplicate)
	}
	b.do("time passes", func(_ context.Context, s *store) error {
		s.clock.Advance(s.cfg.IdempotencyAge + time.Minute)
		return nil
	})
	for n := range byte(2) {
		b.envelope(fmt.Sprintf("request %d after it was forgotten", n), charge(n, 5), applied)
	}
}

func (b *script) transactions() {
	for i := range int64(6) {
		b.do(fmt.Sprintf("transaction %d", i), func(ctx context.Context, s *store) error {
			app := s.scope("bank", "app")
			return app.Update(ctx, func(tx *aedb.Tx) error {
				row, _, err := tx.Row(ctx, "accounts", aedb.Int(102+i))
				if err != nil || row == nil {
					return errors.Join(err, errIf(row == nil, "account %d is gone", 102+i))
				}
				total := row[2].AsInt()
				for r, err := range tx.Rows(ctx, query.Select().From("accounts").Where(query.Eq("owner", "owner-1"))) {
					if err != nil {
						return err
					}
					total += r[2].AsInt()
				}
				if err := tx.UpdateFields("accounts", []aedb.Value{aedb.Int(102 + i)}, aedb.Set("balance", aedb.Int(total))); err != nil {
					return err
				}
				point := tx.Savepoint()
				if err := tx.Set(key("taken back"), nil); err != nil {
					return err
				}
				tx.RollbackTo(point)
				return tx.Set(key("tx/%d", i), key("%d", total))
			})
		})
	}
}

func (b *script) finality() {
	for i := range 4 {
		b.envelope(fmt.Sprintf("economic commit %d", i), func(app *aedb.Scope) aedb.Envelope {
			return aedb.Envelope{WriteClass: aedb.Economic, Mutations: one(app.KvSet(key("money/%d", i), filler(50, uint32(i))))}
		}, func(r aedb.Result) error {
			return errIf(r.DurableSeq < r.CommitSeq, "an economic commit is visible at %d and durable at %d", r.CommitSeq, r.DurableSeq)
		})
		b.app(fmt.Sprintf("commit after it %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvSet(key("after/%d", i), nil))
		})
	}
	b.do("flush", func(ctx context.Context, s *store) error {
		visible := s.db.Heads().VisibleSeq
		durable, err := s.db.Flush(ctx)
		return errors.Join(err, errIf(err == nil && durable < visible, "flushed to %d of %d", durable, visible))
	})
	b.app("commit after the flush", func(app *aedb.Scope) []aedb.Mutation { return one(app.KvSet(key("flushed"), nil)) })
	b.do("wait for durability", func(ctx context.Context, s *store) error {
		return s.db.WaitDurable(ctx, s.db.Heads().VisibleSeq)
	})
	b.do("many in flight", func(ctx context.Context, s *store) error {
		app := s.scope("bank", "app")
		var tickets []*aedb.Ticket
		for i := range 12 {
			t, err := app.Submit(ctx, aedb.Envelope{Mutations: one(app.KvSet(key("flight/%02d", i), filler(1500, uint32(i))))})
			if err != nil {
				return err
			}
			tickets = append(tickets, t)
		}
		for i, t := range tickets {
			wait := t.Visible
			if i%4 == 3 {
				wait = t.Durable
			}
			if _, err := wait(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *script) large() {
	for i, n := range []int{5 << 10, 20 << 10, 9 << 10} {
		b.app(fmt.Sprintf("set %d bytes", n), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvSet(key("large/%d", i), filler(n, uint32(n))))
		})
		b.app(fmt.Sprintf("a small commit behind %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return one(app.KvSet(key("small/%d", i), key("small")))
		})
	}
	b.app("overwrite 20 KiB", func(app *aedb.Scope) []aedb.Mutation { return one(app.KvSet(key("large/1"), nil)) })
	b.app("delete 9 KiB", func(app *aedb.Scope) []aedb.Mutation { return one(app.KvDel(key("large/2"))) })
}

func (b *script) drops() {
	b.do("fill another scope", func(ctx context.Context, s *store) error {
		audit := s.scope("bank", "audit")
		_, err := audit.Commit(ctx, audit.KvSet(key("a"), filler(200, 1)), audit.CreateTable("log", aedb.TableSpec{
			Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger)}, PrimaryKey: []string{"id"},
		}), audit.Insert("log", aedb.Row{aedb.Int(1)}))
		return err
	})
	b.do("fill another project", func(ctx context.Context, s *store) error {
		scratch := s.scope("scratch", "app")
		_, err := scratch.Commit(ctx, scratch.KvSet(key("s"), filler(200, 2)))
		return err
	})
	b.app("drop a table", func(app *aedb.Scope) []aedb.Mutation { return one(app.DropTable("entries")) })
	b.app("make a table of that name", func(app *aedb.Scope) []aedb.Mutation {
		return []aedb.Mutation{
			app.CreateTable("entries", aedb.TableSpec{
				Columns: []aedb.ColumnSpec{aedb.Column("id", aedb.TypeText)}, PrimaryKey: []string{"id"},
			}),
			app.Insert("entries", aedb.Row{aedb.Text("new")}),
		}
	})
	b.do("drop a scope", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().DropScope(ctx, "bank", "audit")
		return err
	})
	b.do("drop an empty scope", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().DropScope(ctx, "bank", "archive")
		return err
	})
	b.do("drop a project", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().DropProject(ctx, "scratch")
		return err
	})
	b.do("make a scope of that name", func(ctx context.Context, s *store) error {
		_, err := s.db.NoAuth().CreateScope(ctx, "bank", "audit")
		return err
	})
}

func (b *script) afterwards() {
	for i := range int64(6) {
		b.app(fmt.Sprintf("late commit %d", i), func(app *aedb.Scope) []aedb.Mutation {
			return []aedb.Mutation{app.KvSet(key("late/%d", i), filler(60, uint32(i))), app.Delete("accounts", aedb.Int(110+i))}
		})
	}
	b.do("last flush", func(ctx context.Context, s *store) error {
		_, err := s.db.Flush(ctx)
		return err
	})
	b.app("last commit", func(app *aedb.Scope) []aedb.Mutation { return one(app.Upsert("accounts", account(1))) })
}
