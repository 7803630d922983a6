package reader

import (
	"context"
	"iter"
	"math"
	"sync"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// Query returns one page of the rows of a query. Everything that can be wrong
// with the request is reported before a row is read. Errors by code:
//
//   - invalid_query, table_not_found, column_not_found, type_mismatch: the
//     query does not fit the rules or the table;
//   - invalid_cursor: the cursor is not one for this request and snapshot;
//   - scan_bound_exceeded, materialization_budget_exceeded: an option's bound;
//   - canceled, timeout: the context ended.
func Query(ctx context.Context, src Source, rec Recorder, req Request) (Result, error) {
	x := newExecution()
	defer x.release()
	if err := x.plan.make(src, &req, true); err != nil {
		return Result{}, err
	}
	result := Result{Columns: x.describe(), SnapshotSeq: src.Seq()}
	if x.take == 0 {
		return result, nil
	}
	x.begin(ctx, src, rec)
	x.bound, x.boundName = x.options.MaxScanRows, "max_scan_rows"
	if x.bounded {
		x.bound = math.MaxInt
	}
	if most := x.options.MaxExaminedRows; most > 0 && most < x.bound {
		x.bound, x.boundName = most, "max_examined_rows"
	}
	last, err := x.page(&result)
	if err != nil {
		return Result{}, err
	}
	result.RowsExamined = x.examined
	if result.Truncated && x.skip == 0 && req.Sealer != nil {
		result.Cursor = req.Sealer.seal(position{
			seq: src.Seq(), size: x.take, space: x.scan.space, fingerprint: req.fingerprint(), key: last,
		})
	}
	return result, nil
}

// Stream yields all rows of a query up to its limit, or those after a cursor.
// There are no pages: the rows come one by one as they are found, or once they
// are sorted if no path has the order. MaxScanRows does not bound a stream. A
// failure ends it and comes with a nil row.
func Stream(ctx context.Context, src Source, rec Recorder, req Request) iter.Seq2[value.Row, error] {
	return func(yield func(value.Row, error) bool) {
		if err := stream(ctx, src, rec, &req, yield); err != nil {
			yield(nil, err)
		}
	}
}

func stream(ctx context.Context, src Source, rec Recorder, req *Request, yield func(value.Row, error) bool) error {
	x := newExecution()
	defer x.release()
	if err := x.plan.make(src, req, false); err != nil || x.take == 0 {
		return err
	}
	x.begin(ctx, src, rec)
	x.bound, x.boundName = math.MaxInt, "max_examined_rows"
	if most := x.options.MaxExaminedRows; most > 0 {
		x.bound = most
	}
	return x.stream(yield)
}

// execution is one run of a plan.
type execution struct {
	plan
	scan scan
	view view
	// rows are looked up if the path is through an index that does not cover the
	// query: then behind is set.
	rows   lookups
	behind bool
	// arena is room for output rows, what is left of that for arenaRows.
	arena     value.Row
	arenaRows int

	skipped  int
	examined int
	bound    int // of examined
	// boundName is that of the option behind bound.
	boundName string
	// column is the view's, for the condition; nil if there is none to check.
	column func(position int) value.Value
	err    error
}

// executions are at rest, and empty. One is a few KiB, more than most answers.
var executions = sync.Pool{New: func() any { return new(execution) }}

func newExecution() *execution { return executions.Get().(*execution) }

// release lets go of everything. Nothing that was handed out is part of it.
func (x *execution) release() {
	*x = execution{}
	executions.Put(x)
}

// begin makes the plan ready to be run.
func (x *execution) begin(ctx context.Context, src Source, rec Recorder) {
	x.view = view{row: record.Row{Table: x.table}, index: x.path.index, covered: x.path.covered}
	if x.behind = x.path.index != nil && !x.path.covered; x.behind {
		x.rows.src, x.rows.left = src, math.MaxInt
		if x.take >= 0 && x.path.rest == nil && !x.path.sort {
			x.rows.left = x.take
		}
	}
	s := &x.scan
	s.ctx, s.rec, s.space = ctx, rec, spaceOf(x.table, x.path.index)
	s.cursor = src.Cursor(s.space)
	s.ranges, s.points, s.way = x.path.ranges, x.path.points, x.path.way
	if !x.path.sort {
		s.after = x.after
	}
	if x.path.rest != nil {
		x.column = x.view.column
	}
}

// next moves the view to the next row that meets the condition, in the order of
// the path, after leaving out the first skip, and reports whether there is one.
// If the path enforces the whole condition those are passed over without
// reading them. Whoever wants no more rows must stop the scan.
func (x *execution) next(skip int) bool {
	for x.visit(skip) {
		if x.examined >= x.bound {
			x.scan.stop()
			x.err = boundExceeded("examined rows", x.boundName, int64(x.examined)+1, int64(x.bound))
			return false
		}
		x.examined++
		if x.err = x.load(); x.err != nil {
			x.scan.stop()
			return false
		}
		if x.column != nil && x.path.rest.Eval(x.column) != query.True {
			continue
		}
		if x.skipped < skip {
			x.skipped++
			continue
		}
		return true
	}
	x.err = x.scan.err
	return false
}

// visit goes to the next entry of the path, and reports whether there is one.
func (x *execution) visit(skip int) bool {
	if x.behind && x.rows.next() {
		return true
	}
	for x.scan.next() {
		if x.skipped < skip && x.column == nil {
			x.skipped++
			continue
		}
		if x.behind {
			x.rows.gather(x.path.index, x.table.ID, &x.scan)
		}
		return true
	}
	return false
}

// load moves the view to the entry that was visited.
func (x *execution) load() error {
	switch c := &x.scan.cursor; {
	case x.behind:
		return x.rows.load(&x.view, x.scan.rec)
	case x.path.index == nil:
		key, data, _ := c.Entry()
		x.view.set(key, key, data)
		return nil
	default:
		entry := c.Key()
		rowKey, err := record.IndexedRowKey(x.path.index, entry, c.Value())
		x.view.set(entry, rowKey, nil)
		return err
	}
}

// Rows are cut from arenas of twice as many rows each, so that few rows cost
// little and no row keeps many others alive.
const (
	firstArena = 16
	lastArena  = 64
)

// project returns the output columns of the row that the view stands on. At most
// so many rows are wanted from here on; -1 is all.
func (x *execution) project(most int) value.Row {
	n := len(x.columns)
	if len(x.arena) < n {
		if x.arenaRows == 0 {
			x.arenaRows = min(int(x.path.visits), firstArena)
			if x.behind {
				x.arenaRows = min(x.arenaRows, x.rows.n-x.rows.at)
			}
		} else {
			x.arenaRows = min(2*x.arenaRows, lastArena)
		}
		if most >= 0 {
			x.arenaRows = min(x.arenaRows, most)
		}
		x.arena = make(value.Row, n*x.arenaRows)
	}
	row := x.arena[:n:n]
	x.arena = x.arena[n:]
	if x.whole && !x.view.covered {
		x.view.row.BorrowAll(row)
	} else {
		x.view.read(row, x.columns)
	}
	return row
}

// page fills the result and returns the position of its last row.
func (x *execution) page(result *Result) (last []byte, err error) {
	if x.path.sort {
		top, err := x.sorted(x.skip + x.take)
		if err != nil {
			return nil, err
		}
		for _, s := range top.rows[min(x.skip, len(top.rows)):] {
			result.Rows, last = append(result.Rows, s.row), s.key
		}
		result.Truncated = top.dropped
		return last, nil
	}
	result.Rows = make([]value.Row, 0, min(x.take, int(x.path.visits)+1, 2*DefaultPageRows))
	for x.next(x.skip) {
		if len(result.Rows) == x.take {
			result.Truncated = true
			x.scan.stop()
			break
		}
		result.Rows = append(result.Rows, x.project(x.take-len(result.Rows)))
		if len(result.Rows) == x.take {
			last = x.view.entry
			if x.bound < math.MaxInt {
				x.bound++ // the row that tells whether there are more
			}
		}
	}
	return last, x.err
}

func (x *execution) stream(yield func(value.Row, error) bool) error {
	if x.path.sort {
		most := -1
		if x.take >= 0 && x.skip <= math.MaxInt-x.take {
			most = x.skip + x.take
		}
		top, err := x.sorted(most)
		if err != nil {
			return err
		}
		for _, s := range top.rows[min(x.skip, len(top.rows)):] {
			if !yield(s.row, nil) {
				return nil
			}
		}
		return nil
	}
	for left := x.take; x.next(x.skip); left-- {
		if !yield(x.project(left), nil) || left == 1 {
			x.scan.stop()
			return nil
		}
	}
	return x.err
}

// materializationExceeded is the error for rows held in memory.
func materializationExceeded(t *catalog.Table, estimated, most int64) error {
	e := errs.New(errs.CodeMaterializationBudget,
		"sorting rows of %s takes %d bytes, limit max_query_memory_bytes is %d", t, estimated, most)
	e.Limit, e.Value, e.Max = "max_query_memory_bytes", estimated, most
	return e
}
