package crash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

// caller commits one after the other. Commit i sets its counter to i and adds
// row i, so that its commits that survived can be counted in two ways.
type caller struct {
	id        int64
	attempted uint64
	visible   uint64   // commits it was told of
	durable   uint64   // those that it knows to be durable
	seqs      []uint64 // of the commits that it was told of
	failure   error
}

func (c *caller) counter() []byte { return key("counter/%d", c.id) }

func (c *caller) work(ctx context.Context, app *aedb.Scope, commits int) {
	for i := uint64(1); i <= uint64(commits); i++ {
		c.attempted = i
		env := aedb.Envelope{Mutations: []aedb.Mutation{
			app.KvAddU64(c.counter(), 1, aedb.TreatAsZero, aedb.RejectLimit),
			app.Insert("work", aedb.Row{aedb.Int(c.id), aedb.U64(i), aedb.Blob(filler(int(i*37%400), uint32(i)))}),
		}}
		finality := aedb.Visible
		if i%5 == 0 {
			finality = aedb.Durable
		}
		if i%7 == 0 {
			env.WriteClass = aedb.Economic
		}
		r, err := app.CommitEnvelope(ctx, env, finality)
		if err != nil {
			c.failure = err
			return
		}
		c.visible = i
		c.seqs = append(c.seqs, r.CommitSeq)
		if r.DurableSeq >= r.CommitSeq {
			c.durable = i
		}
	}
}

// survived checks what is there of the caller's commits in a store at a seq.
func (c *caller) survived(ctx context.Context, app *aedb.Scope, at uint64, keepsAll bool) error {
	e, _, err := app.KV().Get(ctx, c.counter())
	if err != nil {
		return err
	}
	var count uint64
	if e.Value != nil {
		count = binary.BigEndian.Uint64(e.Value)
	}
	switch {
	case count < c.durable:
		return fmt.Errorf("caller %d has %d commits and was promised %d", c.id, count, c.durable)
	case keepsAll && count < c.visible:
		return fmt.Errorf("caller %d has %d commits and had seen %d, though nothing was lost", c.id, count, c.visible)
	case count > c.attempted:
		return fmt.Errorf("caller %d has %d commits and made %d", c.id, count, c.attempted)
	}
	for i, seq := range c.seqs {
		if there := uint64(i) < count; there != (seq <= at) {
			return fmt.Errorf("the store ends at commit %d; commit %d of caller %d was %d: there is %v", at, i+1, c.id, seq, there)
		}
	}
	next := uint64(1)
	for row, err := range app.Rows(ctx, query.Select("n").From("work").Where(query.Eq("caller", c.id))) {
		if err != nil {
			return err
		}
		if row[0].AsU64() != next {
			return fmt.Errorf("caller %d has row %d where %d is expected", c.id, row[0].AsU64(), next)
		}
		next++
	}
	return errIf(next-1 != count, "caller %d counts %d commits and has %d rows", c.id, count, next-1)
}

// crowd runs callers side by side until they are done or what arm arranges stops
// them, and closes the store.
func crowd(ctx context.Context, s *store, arm func() *atomic.Pointer[vfs.Op]) ([]*caller, error) {
	const callers, commits = 8, 40
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if _, err := s.db.NoAuth().CreateProject(ctx, "bank"); err != nil {
		return nil, err
	}
	app := s.scope("bank", "app")
	if _, err := app.Commit(ctx, app.CreateTable("work", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("caller", aedb.TypeInteger), aedb.Column("n", aedb.TypeU64), aedb.Column("data", aedb.TypeBlob),
		},
		PrimaryKey: []string{"caller", "n"},
		Indexes:    []aedb.IndexSpec{{Name: "by_n", Columns: []string{"n"}}},
	})); err != nil {
		return nil, err
	}
	if _, err := s.db.Flush(ctx); err != nil { // what follows needs the table
		return nil, err
	}
	s.note()
	hit := arm()
	var all []*caller
	var running sync.WaitGroup
	for id := range int64(callers) {
		c := &caller{id: id}
		all = append(all, c)
		running.Go(func() { c.work(ctx, app, commits) })
	}
	running.Wait()
	s.note()
	_ = s.close(ctx) // its disk may be gone, or its log broken
	for _, c := range all {
		switch {
		case c.failure == nil:
		case hit.Load() == nil:
			return nil, c.failure
		case unclear(c.failure) != nil:
			return nil, unclear(c.failure)
		}
	}
	return all, nil
}

func TestWhatManyCallersWerePromisedSurvivesAPowerLoss(t *testing.T) {
	seed := baseSeed(t)
	rounds := sized(1000, 15, 6)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			var recoveries atomic.Int64
			sweep(t, 1, func(round int64) (bool, error) {
				rng := rand.New(rand.NewPCG(seed, uint64(round)))
				n := 1 + rng.Int64N(200)
				err := live(func(ctx context.Context) error {
					s := p.on(vfs.NewMem())
					defer func() { _ = s.close(ctx) }() // a failed check leaves it open
					all, err := crowd(ctx, s, func() *atomic.Pointer[vfs.Op] { return crashAt(s.fs, s.fs.Ops()+n) })
					if err != nil {
						return err
					}
					for _, f := range fates(rng.Uint64()) {
						if err := crowdSurvived(ctx, s.on(s.fs.Clone(f.fate)), s.promised, all, f.keepsAll); err != nil {
							return fmt.Errorf("%s (%v): %w", f.name, f.fate, err)
						}
						recoveries.Add(2)
					}
					return nil
				})
				if err != nil {
					err = fmt.Errorf("%s: seed %d, round %d, power lost at operation %d: %w", p.name, seed, round, n, err)
				}
				return round < rounds, err
			})
			t.Logf("%d rounds, %d recoveries in %v", rounds, recoveries.Load(), time.Since(began).Round(time.Millisecond))
		})
	}
}

// failLog makes the first write or sync of the log from the n-th operation on fail
// once. A sync forgets what it should have written, as Linux does.
func failLog(disk *vfs.Mem, n int64, kind vfs.OpKind) *atomic.Pointer[vfs.Op] {
	var hit atomic.Pointer[vfs.Op]
	disk.SetInjector(func(op vfs.Op) vfs.Fault {
		_, segment := wal.ParseSegmentName(path.Base(op.Name))
		if !segment || op.Kind != kind || op.N < n || hit.Load() != nil {
			return vfs.Fault{}
		}
		hit.Store(&op)
		return vfs.Fault{Err: syscall.EIO, DropUnsynced: true, Short: int(op.Size / 2)}
	})
	return &hit
}

func TestWhatManyCallersWerePromisedSurvivesAFailureOfTheLog(t *testing.T) {
	seed := baseSeed(t)
	rounds := sized(1000, 15, 6)
	for _, p := range setups {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now()
			sweep(t, 1, func(round int64) (bool, error) {
				rng := rand.New(rand.NewPCG(seed, uint64(round)))
				n, kind := 1+rng.Int64N(60), vfs.OpSync
				if round%4 == 0 {
					kind = vfs.OpWrite
				}
				err := live(func(ctx context.Context) error {
					s := p.on(vfs.NewMem())
					defer func() { _ = s.close(ctx) }() // a failed check leaves it open
					all, err := crowd(ctx, s, func() *atomic.Pointer[vfs.Op] { return failLog(s.fs, s.fs.Ops()+n, kind) })
					if err != nil {
						return err
					}
					for _, f := range fates(rng.Uint64()) {
						// What a sync has dropped is lost to every power loss.
						if err := crowdSurvived(ctx, s.on(s.fs.Clone(f.fate)), s.promised, all, false); err != nil {
							return fmt.Errorf("then power was lost, %s (%v): %w", f.name, f.fate, err)
						}
					}
					s.fs.SetInjector(nil)
					if err := crowdSurvived(ctx, s.on(s.fs), s.promised, all, true); err != nil {
						return fmt.Errorf("then the process was restarted: %w", err)
					}
					return nil
				})
				if err != nil {
					err = fmt.Errorf("%s: seed %d, round %d, a %v of the log failed from operation %d on: %w", p.name, seed, round, kind, n, err)
				}
				return round < rounds, err
			})
			t.Logf("%d rounds in %v", rounds, time.Since(began).Round(time.Millisecond))
		})
	}
}

// crowdSurvived checks what is found of the callers' commits on a disk, and that
// the store goes on from there.
func crowdSurvived(ctx context.Context, s *store, p promise, all []*caller, keepsAll bool) error {
	defer func() { _ = s.close(ctx) }() // a failed check leaves it open
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("strict open: %w", err)
	}
	at := s.db.Heads().VisibleSeq
	if at < p.durable {
		return fmt.Errorf("the store ends at commit %d: %v", at, p)
	}
	for _, c := range all {
		if err := c.survived(ctx, s.scope("bank", "app"), at, keepsAll); err != nil {
			return err
		}
	}
	return errors.Join(s.sound(), s.continues(ctx))
}
