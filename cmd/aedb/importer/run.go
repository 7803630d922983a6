package importer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/errs"
)

// Job is one import. Records, Source, Scope and Table must be set, the numbers
// positive unless said otherwise.
type Job struct {
	Source  string // its name, for messages
	Records *Records
	Scope   *aedb.Scope
	Table   aedb.TableInfo
	// Upsert replaces rows that have the same primary key; else they are an error.
	// Of several rows of the source with one key, the last one stays only if there
	// is one caller.
	Upsert bool
	// Null is the text that stands for Null in TSV and CSV; nil if none does.
	Null *string
	// BatchRows and BatchBytes bound one commit. A row above BatchBytes is a batch
	// of its own.
	BatchRows, BatchBytes int
	// MaxValueBytes bounds one value; it is that of the store.
	MaxValueBytes int
	// Callers commit at the same time.
	Callers  int
	Finality aedb.Finality
	// Journal lists the batches committed, and the rows to leave out; nil is none.
	// It requires the finality Durable.
	Journal *Journal
	// Skip rows at the beginning of the source, and import at most Limit; 0 is no
	// limit. Rows that the journal covers count.
	Skip, Limit int
	// OnProgress, if set, is told after each batch, by one goroutine at a time.
	OnProgress func(Summary)
}

// Summary tells what an import has done.
type Summary struct {
	// Rows committed, in so many Batches.
	Rows, Batches int
	// Covered rows were left out because the journal lists them.
	Covered int
	Elapsed time.Duration
}

// RowsPerSecond returns the rate of the import.
func (s Summary) RowsPerSecond() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Rows) / s.Elapsed.Seconds()
}

// batch is some rows on their way to the store, with the lines they begin at.
type batch struct {
	first, last int // row numbers
	lines       []int
	rows        []aedb.Row
	bytes       int
}

// Run imports until the records end, something fails or the context ends. The
// summary is right in all cases. After an error it does not say that nothing
// else of the source is in the store: rows of other batches may be.
func (j Job) Run(ctx context.Context) (Summary, error) {
	r := &run{Job: j, began: time.Now(), batches: make(chan batch, j.Callers)}
	p := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError()
	p.Go(func(ctx context.Context) error {
		defer close(r.batches)
		return r.read(ctx)
	})
	for range j.Callers {
		p.Go(r.commitAll)
	}
	err := p.Wait()
	r.done.Elapsed = time.Since(r.began)
	return r.done, err
}

// run is the state of one Run.
type run struct {
	Job
	began   time.Time
	batches chan batch

	mu   sync.Mutex // guards done and writes to the journal
	done Summary
}

// read makes batches of the records.
func (r *run) read(ctx context.Context) error {
	bind := newBinding(r.Source, r.Table, r.Null, r.MaxValueBytes)
	var next batch
	hand := func() error {
		if len(next.rows) == 0 {
			return nil
		}
		select {
		case r.batches <- next:
			next = batch{}
			return nil
		case <-ctx.Done():
			return errs.FromContext(ctx, "while importing")
		}
	}
	for {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "while importing")
		}
		rec, err := r.Records.Next()
		if errors.Is(err, io.EOF) || err == nil && r.Limit > 0 && rec.Row > r.Skip+r.Limit {
			return hand()
		}
		if err != nil {
			return err
		}
		if rec.Row <= r.Skip {
			continue
		}
		if r.Journal != nil && r.Journal.Covers(rec.Row) {
			r.cover()
			continue
		}
		row, size, err := bind.row(rec)
		if err != nil {
			return err
		}
		if next.bytes+size > r.BatchBytes {
			if err := hand(); err != nil {
				return err
			}
		}
		if len(next.rows) == 0 {
			next.first = rec.Row
		}
		next.last, next.bytes = rec.Row, next.bytes+size
		next.lines, next.rows = append(next.lines, rec.Line), append(next.rows, row)
		if len(next.rows) == r.BatchRows {
			if err := hand(); err != nil {
				return err
			}
		}
	}
}

// cover counts a row that the journal covers.
func (r *run) cover() {
	r.mu.Lock()
	r.done.Covered++
	r.mu.Unlock()
}

// commitAll is one caller.
func (r *run) commitAll(ctx context.Context) error {
	for b := range r.batches {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "while importing")
		}
		// What is handed to the store is waited for, whatever happens meanwhile:
		// an outcome that nobody knows could be neither counted nor journaled.
		if err := r.commit(context.WithoutCancel(ctx), b); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) commit(ctx context.Context, b batch) error {
	result, err := r.Scope.CommitEnvelope(ctx, aedb.Envelope{Mutations: []aedb.Mutation{r.write(b.rows)}}, r.Finality)
	if err != nil {
		return r.locate(ctx, b, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Rows += len(b.rows)
	r.done.Batches++
	r.done.Elapsed = time.Since(r.began)
	if r.Journal != nil {
		if err := r.Journal.Add(b.first, b.last, result.CommitSeq); err != nil {
			return err
		}
	}
	if r.OnProgress != nil {
		r.OnProgress(r.done)
	}
	return nil
}

func (r *run) write(rows []aedb.Row) aedb.Mutation {
	if r.Upsert {
		return r.Scope.UpsertBatch(r.Table.Name, rows)
	}
	return r.Scope.InsertBatch(r.Table.Name, rows)
}

// locate adds the place in the source to the failure of a batch. The store refuses
// a batch as a whole; which row it refuses is found by trial: the shortest
// beginning of the batch that is still refused ends with that row. A trial carries
// an assertion that never holds, so it has no effect.
func (r *run) locate(ctx context.Context, b batch, failure error) error {
	if aedb.ClassOf(failure) != aedb.ClassValidation {
		return r.inLines(b, failure)
	}
	key := []byte{0}
	never := aedb.Check(aedb.All(r.Scope.KeyExists(key, true), r.Scope.KeyExists(key, false)))
	good, bad := 0, len(b.rows) // lengths of beginnings known to be accepted, and refused
	for good+1 < bad {
		middle := (good + bad) / 2
		_, err := r.Scope.Commit(ctx, r.write(b.rows[:middle]), never)
		switch {
		case errors.Is(err, aedb.ErrAssertionFailed):
			good = middle
		case aedb.ClassOf(err) == aedb.ClassValidation:
			bad = middle
		default:
			return r.inLines(b, failure)
		}
	}
	return errs.Wrap(aedb.CodeOf(failure), failure, "%s line %d", r.Source, b.lines[bad-1]).On(r.Table.Name)
}

// inLines adds the lines of a batch to its failure.
func (r *run) inLines(b batch, failure error) error {
	return errs.Wrap(aedb.CodeOf(failure), failure, "%s lines %d to %d", r.Source, b.lines[0], b.lines[len(b.lines)-1])
}
