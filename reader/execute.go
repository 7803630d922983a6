package reader

import (
	"context"
	"iter"
	"math"

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
	p, err := newPlan(src, &req, true)
	if err != nil {
		return Result{}, err
	}
	result := Result{Columns: p.output, SnapshotSeq: src.Seq()}
	if p.take == 0 {
		return result, nil
	}
	x := newExecution(ctx, src, rec, p)
	x.bound, x.boundName = p.options.MaxScanRows, "max_scan_rows"
	if p.bounded {
		x.bound = math.MaxInt
	}
	if most := p.options.MaxExaminedRows; most > 0 && most < x.bound {
		x.bound, x.boundName = most, "max_examined_rows"
	}
	last, err := x.page(&result)
	if err != nil {
		return Result{}, err
	}
	result.RowsExamined = x.examined
	if result.Truncated && p.skip == 0 && req.Sealer != nil {
		result.Cursor = req.Sealer.seal(position{
			seq: src.Seq(), size: p.take, space: x.scan.space, fingerprint: p.fingerprint, key: last,
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
		p, err := newPlan(src, &req, false)
		if err == nil && p.take != 0 {
			x := newExecution(ctx, src, rec, p)
			x.bound, x.boundName = math.MaxInt, "max_examined_rows"
			if most := p.options.MaxExaminedRows; most > 0 {
				x.bound = most
			}
			err = x.stream(func(row value.Row) bool { return yield(row, nil) })
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// execution is one run of a plan.
type execution struct {
	*plan
	scan   scan
	view   view
	borrow func(position int) value.Value

	examined  int
	bound     int // of examined
	boundName string
}

func newExecution(ctx context.Context, src Source, rec Recorder, p *plan) *execution {
	x := &execution{
		plan: p,
		scan: scan{
			ctx: ctx, src: src, rec: rec, space: spaceOf(p.table, p.path.index),
			ranges: p.path.ranges, points: p.path.points, way: p.path.way,
		},
		view: view{row: record.Row{Table: p.table}, index: p.path.index, covered: p.path.covered},
	}
	if !p.path.sort {
		x.scan.after = p.after
	}
	x.borrow = x.view.borrow
	return x
}

// each calls visit for the rows that meet the condition, in the order of the
// path, after leaving out the first skip. If the path enforces the whole
// condition those are passed over without reading them.
func (x *execution) each(skip int, visit func(key []byte) (more bool, err error)) error {
	rest := x.path.rest
	return x.scan.run(func(key, val []byte, _ uint64) (bool, error) {
		if skip > 0 && rest == nil {
			skip--
			return true, nil
		}
		if x.examined >= x.bound {
			return false, boundExceeded("examined rows", x.boundName, int64(x.examined)+1, int64(x.bound))
		}
		x.examined++
		if err := x.view.load(x.scan.src, x.scan.rec, key, val); err != nil {
			return false, err
		}
		if rest != nil && rest.Eval(x.borrow) != query.True {
			return true, nil
		}
		if skip > 0 {
			skip--
			return true, nil
		}
		return visit(key)
	})
}

// project returns the output columns of the row that the view stands on.
func (x *execution) project() value.Row {
	row := make(value.Row, len(x.columns))
	for i, position := range x.columns {
		row[i] = x.view.column(position)
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
	err = x.each(x.skip, func(key []byte) (bool, error) {
		if len(result.Rows) == x.take {
			result.Truncated = true
			return false, nil
		}
		result.Rows, last = append(result.Rows, x.project()), key
		if len(result.Rows) == x.take && x.bound < math.MaxInt {
			x.bound++ // the row that tells whether there are more
		}
		return true, nil
	})
	return last, err
}

func (x *execution) stream(yield func(value.Row) bool) error {
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
			if !yield(s.row) {
				return nil
			}
		}
		return nil
	}
	left := x.take
	return x.each(x.skip, func([]byte) (bool, error) {
		left--
		return yield(x.project()) && left != 0, nil
	})
}

// materializationExceeded is the error for rows held in memory.
func materializationExceeded(t *catalog.Table, estimated, most int64) error {
	e := errs.New(errs.CodeMaterializationBudget,
		"sorting rows of %s takes %d bytes, limit max_query_memory_bytes is %d", t, estimated, most)
	e.Limit, e.Value, e.Max = "max_query_memory_bytes", estimated, most
	return e
}
