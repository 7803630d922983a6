package reader

import (
	"math"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// plan is a checked query and the way to its rows.
type plan struct {
	table *catalog.Table
	// columns are the positions of the output columns; whole is whether they are
	// those of the table, in order.
	columns []int
	whole   bool
	order   []sortKey
	path    path
	domains domains
	// condition is whether there is any condition, enforced by the path or not.
	condition bool

	// skip rows, then take as many; -1 is all. A page looks one row further.
	skip, take int
	// bounded is whether a limit or a cursor bounds the rows.
	bounded bool
	// after is where the page before ended, nil for the first page.
	after   []byte
	options Options
}

// tableLayout makes a table a query.Layout.
type tableLayout struct{ *catalog.Table }

func (l tableLayout) Lookup(column string) (position int, kind value.Kind, ok bool) {
	if position, ok = l.Column(column); ok {
		kind = l.Columns[position].Kind
	}
	return position, kind, ok
}

// make checks a request and plans it. All errors that do not depend on rows come
// from here. The plan is for one page, or else for all rows up to the query's
// own limit.
func (p *plan) make(src Source, req *Request, paged bool) error {
	p.options = req.Options.withDefaults()
	q := &req.Query
	var from position
	if req.Cursor != "" {
		var err error
		if from, err = req.Sealer.open(req.Cursor); err != nil {
			return err
		}
	}
	if err := q.Validate(); err != nil {
		return err
	}
	p.bounded = q.Window.Limited || req.Cursor != ""
	p.condition = !q.Filter.IsZero()
	if !p.bounded && !p.condition && !p.options.AllowFullScan {
		return query.Invalid(query.ReasonUnboundedScan,
			"a query of all rows of %q needs a limit, a condition or leave to scan", q.Table)
	}
	if req.Cursor != "" {
		if q.Window.Offset > 0 {
			return query.Invalid(query.ReasonOffsetWithCursor, "an offset and a cursor exclude each other")
		}
		if from.fingerprint != req.fingerprint() || from.seq != src.Seq() {
			return errInvalidCursor()
		}
		p.after = from.key
	}
	predicate, err := p.bind(src, req)
	if err != nil {
		return err
	}
	if err := p.setWindow(q.Window, from.size, paged); err != nil {
		return err
	}
	return p.choose(src, q, predicate, from.space)
}

// bind resolves the names in the query.
func (p *plan) bind(src Source, req *Request) (*query.Predicate, error) {
	q := &req.Query
	names, project, scope, name := req.Names, req.Project, req.Scope, q.Table
	if global, ok := strings.CutPrefix(name, "_global."); ok {
		names, project, scope, name = nil, "_global", catalog.DefaultScope, global
	}
	t, err := names.Table(src.Catalog(), project, scope, name)
	if err != nil {
		return nil, err
	}
	p.table = t
	if p.whole = len(q.Columns) == 0 || q.Columns[0] == "*"; p.whole {
		p.columns = make([]int, len(t.Columns))
		for i := range p.columns {
			p.columns[i] = i
		}
	} else {
		p.columns = make([]int, len(q.Columns))
		for i, c := range q.Columns {
			if p.columns[i], err = columnOf(t, c); err != nil {
				return nil, err
			}
		}
	}
	predicate, err := query.Bind(q.Filter, tableLayout{t})
	if err != nil {
		return nil, err
	}
	if len(q.Order) > 0 {
		p.order = make([]sortKey, len(q.Order))
	}
	for i, k := range q.Order {
		position, err := columnOf(t, k.Column)
		if err != nil {
			return nil, err
		}
		p.order[i] = sortKey{position: position, desc: k.Direction == query.Desc}
	}
	return predicate, nil
}

// describe returns the output columns.
func (p *plan) describe() []query.Column {
	output := make([]query.Column, len(p.columns))
	for i, position := range p.columns {
		c := &p.table.Columns[position]
		output[i] = query.Column{Name: c.Name, Kind: c.Kind, Nullable: c.Nullable}
	}
	return output
}

func columnOf(t *catalog.Table, name string) (int, error) {
	if position, ok := t.Column(name); ok {
		return position, nil
	}
	return 0, errs.New(errs.CodeColumnNotFound, "%s has no column %q", t, name).On(name)
}

// setWindow sets which rows are wanted. The size is that of the page before, or
// 0 for the first page.
func (p *plan) setWindow(w query.Window, size int, paged bool) error {
	p.skip, p.take = w.Offset, -1
	if w.Limited {
		p.take = w.Limit
	}
	if !paged {
		return nil
	}
	most := p.options.MaxScanRows
	switch {
	case w.Limited:
		p.take = min(w.Limit, most)
	case size > 0:
		p.take = min(size, most)
	default:
		p.take = min(DefaultPageRows, most)
	}
	if p.skip > most-p.take {
		wanted := int64(math.MaxInt64)
		if p.skip <= math.MaxInt-p.take {
			wanted = int64(p.skip + p.take)
		}
		return boundExceeded("offset and limit of the page", "max_scan_rows", wanted, int64(most))
	}
	return nil
}

func boundExceeded(what, limit string, n, max int64) error {
	e := errs.New(errs.CodeScanBoundExceeded, "%s are %d rows, limit %s is %d", what, n, limit, max)
	e.Limit, e.Value, e.Max = limit, n, max
	return e
}

// choose sets the path. The candidates are the primary key and the indexes in
// the order of their creation; the first of the cheapest wins. A hint or a
// cursor leaves one candidate.
func (p *plan) choose(src Source, q *query.Query, predicate *query.Predicate, space catalog.SpaceID) error {
	d := &p.domains
	*d = domains{table: p.table, predicate: predicate, known: d.few[:0]}
	rows := src.Len(p.table.ID)
	var hinted *catalog.Index
	if q.Hint != "" {
		var ok bool
		if hinted, ok = p.table.Index(q.Hint); !ok {
			return query.Invalid(query.ReasonUnknownIndex, "table %s has no index %q", p.table, q.Hint)
		}
	}
	found := false
	consider := func(x *catalog.Index) {
		if p.after != nil && spaceOf(p.table, x) != space {
			return
		}
		if c := p.candidate(x, d, rows); !found || c.cost < p.path.cost {
			p.path, found = c, true
		}
	}
	if hinted != nil {
		consider(hinted)
	} else {
		consider(nil)
		for _, x := range p.table.Indexes {
			if found && p.path.points && len(p.path.ranges) <= 1 {
				break // nothing beats one row
			}
			if p.after != nil || len(p.order) > 0 || !d.of(x.Columns[0]).all {
				consider(x)
			}
		}
	}
	if !found {
		return errInvalidCursor()
	}
	return nil
}

// candidate makes the complete path through one index, or the primary key.
func (p *plan) candidate(x *catalog.Index, d *domains, rows int) path {
	c := newPath(p.table, x, d)
	switch {
	case d.predicate.IsTrue():
	case len(c.bound) == 0:
		c.rest = d.predicate
	default:
		rest := d.predicate.Without(func(position int) bool { return slices.Contains(c.bound, position) })
		if !rest.IsTrue() {
			c.rest = rest
		}
	}
	c.arrange(p.table, p.order)
	c.covered = x != nil && p.coveredBy(x, &c)
	want := -1
	if p.take >= 0 {
		want = p.skip + p.take + 1
	}
	c.estimate(rows, want, d)
	return c
}

// coveredBy reports whether the entries of the index hold every column that the
// path leaves to be looked at.
func (p *plan) coveredBy(x *catalog.Index, c *path) bool {
	holds := func(position int) bool {
		return p.table.KeyOrdinal(position) >= 0 || slices.Contains(x.Columns, position)
	}
	for _, position := range p.columns {
		if !holds(position) {
			return false
		}
	}
	if c.sort {
		for _, k := range p.order {
			if !holds(k.position) {
				return false
			}
		}
	}
	if c.rest != nil {
		for position := range c.rest.Positions {
			if !holds(position) {
				return false
			}
		}
	}
	return true
}
