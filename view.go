package aedb

import (
	"context"
	"iter"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/reader"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// View reads one scope at one snapshot: of a ReadTx, of a closure run by
// ReadScope.View or Scope.Update, or of a single read. Reads run on the caller's
// goroutine, hold no lock and never wait for writers.
//
// What a View returns stays valid. Rows and the entries of scans share the memory
// of the store, which never changes, but of which a few KiB around each stay
// allocated as long as they are held: Clone what is kept long.
type View struct {
	store          *readable
	caller         string
	project, scope string
	// image is the snapshot, if it cannot end; else source gives it, for each
	// read anew.
	image  *state.Image
	source func() (snapshot, error)
	// recorder is told what was read; nil outside of Update.
	recorder reader.Recorder
	names    *reader.Names // of the scope; may be nil
}

// snapshot is what a read sees. image is nil in an Update, whose own writes are
// part of what it sees.
type snapshot struct {
	reader.Source
	image *state.Image
}

// ReadOption changes how one read is done.
type ReadOption func(*readOptions)

type readOptions struct {
	consistency   Consistency
	cursor        string
	allowFullScan bool
	maxExamined   int
}

// At chooses the snapshot; AtLatest is the default. A cursor, and a View, which
// has a snapshot already, override it.
func At(c Consistency) ReadOption { return func(o *readOptions) { o.consistency = c } }

// WithCursor continues after the page that returned the cursor, at the snapshot
// of that page.
func WithCursor(cursor string) ReadOption { return func(o *readOptions) { o.cursor = cursor } }

// AllowFullScan admits a query that neither a limit nor a condition bounds.
func AllowFullScan() ReadOption { return func(o *readOptions) { o.allowFullScan = true } }

// MaxExamined bounds the rows that a query may look at, whatever its plan.
func MaxExamined(rows int) ReadOption { return func(o *readOptions) { o.maxExamined = rows } }

func gather(opts []ReadOption) readOptions {
	if len(opts) == 0 {
		return readOptions{}
	}
	o := new(readOptions)
	for _, f := range opts {
		f(o)
	}
	return *o
}

// at returns a view of the scope for one read.
func (s *ReadScope) at(o readOptions) (View, error) {
	if o.cursor == "" {
		image, err := s.session.image(o.consistency)
		return s.over(image), err
	}
	seq, err := s.session.store.sealer.Peek(o.cursor)
	if err != nil {
		return View{}, err
	}
	image, err := s.session.image(AtSeq(seq))
	if errs.CodeOf(err) == errs.CodeSeqGarbageCollected {
		err = errs.Wrap(errs.CodeCursorExpired, err, "the snapshot of the cursor is no longer there")
	}
	return s.over(image), err
}

// over returns a view of the scope in an image.
func (s *ReadScope) over(image *state.Image) View {
	return View{
		store: s.session.store, caller: s.session.callerID(), project: s.project, scope: s.scope,
		image: image, names: &s.names,
	}
}

// snapshot returns what the view sees.
func (v *View) snapshot() (snapshot, error) {
	if v.image != nil {
		return snapshot{Source: v.image, image: v.image}, nil
	}
	return v.source()
}

// QueryResult is one page of rows.
type QueryResult = reader.Result

// Explanation tells how a query is executed.
type Explanation = reader.Explanation

// Query executes a query and returns one page of rows. A query without a limit
// has pages of 100 rows; follow QueryResult.Cursor, or use Rows.
func (s *ReadScope) Query(ctx context.Context, q query.Query, opts ...ReadOption) (QueryResult, error) {
	v, err := s.at(gather(opts))
	if err != nil {
		return QueryResult{}, err
	}
	return v.Query(ctx, q, opts...)
}

// Rows yields all rows of a query as they are found, from one snapshot, which is
// taken when the iteration begins. After an error, which comes with a nil row, it
// ends.
func (s *ReadScope) Rows(ctx context.Context, q query.Query, opts ...ReadOption) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		o := gather(opts)
		v, err := s.at(o)
		if err != nil {
			yield(nil, err)
			return
		}
		v.rows(ctx, q, o, yield)
	}
}

// Explain returns the plan of a query without executing it.
func (s *ReadScope) Explain(ctx context.Context, q query.Query, opts ...ReadOption) (Explanation, error) {
	v, err := s.at(gather(opts))
	if err != nil {
		return Explanation{}, err
	}
	return v.Explain(ctx, q, opts...)
}

// Row returns the row with the given primary key; see View.Row.
func (s *ReadScope) Row(ctx context.Context, table string, key ...Value) (Row, uint64, error) {
	v, err := s.at(readOptions{})
	if err != nil {
		return nil, 0, err
	}
	return v.Row(ctx, table, key...)
}

// View calls a function with the reads of the scope at one snapshot. The View
// must not be used after the function has returned.
func (s *ReadScope) View(ctx context.Context, fn func(*View) error, opts ...ReadOption) error {
	if ctx.Err() != nil {
		return errs.FromContext(ctx, "before the view was opened")
	}
	v, err := s.at(gather(opts))
	if err != nil {
		return err
	}
	return fn(&v)
}

// SnapshotSeq returns the commit seq that the view sees; 0 if it has ended.
func (v *View) SnapshotSeq() uint64 {
	src, err := v.snapshot()
	if err != nil {
		return 0
	}
	return src.Seq()
}

func (v *View) request(q query.Query, o readOptions) reader.Request {
	r := &v.store.tuning.Load().Reads
	return reader.Request{
		Project: v.project, Scope: v.scope, Names: v.names, Query: q, Cursor: o.cursor, Caller: v.caller, Sealer: v.store.sealer,
		Options: reader.Options{
			AllowFullScan: o.allowFullScan, MaxScanRows: r.MaxScanRows,
			MaxExaminedRows: o.maxExamined, MaxMemory: r.MaxQueryBytes,
		},
	}
}

// Query is ReadScope.Query at the view's snapshot.
func (v *View) Query(ctx context.Context, q query.Query, opts ...ReadOption) (QueryResult, error) {
	src, err := v.snapshot()
	if err != nil {
		return QueryResult{}, err
	}
	result, err := reader.Query(ctx, src.Source, v.recorder, v.request(q, gather(opts)))
	v.noteRefusal(err)
	v.pin(src, result.Cursor)
	return result, err
}

// pin keeps the snapshot of a page for its cursor.
func (v *View) pin(src snapshot, cursor string) {
	if cursor != "" && src.image != nil {
		v.store.pins.put(src.image)
	}
}

// Rows is ReadScope.Rows at the view's snapshot. In an Update, the transaction must
// not write while it iterates.
func (v *View) Rows(ctx context.Context, q query.Query, opts ...ReadOption) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) { v.rows(ctx, q, gather(opts), yield) }
}

func (v *View) rows(ctx context.Context, q query.Query, o readOptions, yield func(Row, error) bool) {
	src, err := v.snapshot()
	if err != nil {
		yield(nil, err)
		return
	}
	reader.Stream(ctx, src.Source, v.recorder, v.request(q, o))(func(row Row, err error) bool {
		v.noteRefusal(err)
		return yield(row, err)
	})
}

// Explain is ReadScope.Explain at the view's snapshot.
func (v *View) Explain(ctx context.Context, q query.Query, opts ...ReadOption) (Explanation, error) {
	if ctx.Err() != nil {
		return Explanation{}, errs.FromContext(ctx, "before the query was explained")
	}
	src, err := v.snapshot()
	if err != nil {
		return Explanation{}, err
	}
	e, err := reader.Explain(src.Source, v.request(q, gather(opts)))
	v.noteRefusal(err)
	return e, err
}

// Row returns the row with the given primary key and its version, which is the
// seq of the commit that wrote it last. A row that is not there is nil, with
// version 0.
func (v *View) Row(ctx context.Context, table string, key ...Value) (Row, uint64, error) {
	if ctx.Err() != nil {
		return nil, 0, errs.FromContext(ctx, "before the row was read")
	}
	src, err := v.snapshot()
	if err != nil {
		return nil, 0, err
	}
	t, err := v.tableOf(src, table, key)
	if err != nil {
		v.noteRefusal(err)
		return nil, 0, err
	}
	row := make(Row, len(t.Columns))
	version, ok := reader.GetRow(src.Source, v.recorder, t, key, row)
	if !ok {
		return nil, 0, nil
	}
	return row, version, nil
}

// tableOf resolves a table that has the given values for a primary key.
func (v *View) tableOf(src snapshot, table string, key []Value) (*catalog.Table, error) {
	t, err := v.names.Table(src.Catalog(), v.project, v.scope, table)
	if err != nil {
		return nil, err
	}
	if len(key) != len(t.PrimaryKey) {
		return nil, errs.New(errs.CodeValidation, "the primary key of %s has %d columns, got %d values", t, len(t.PrimaryKey), len(key)).On(table)
	}
	for i, p := range t.PrimaryKey {
		c := &t.Columns[p]
		if err := value.Check(c.Name, c.Kind, false, v.store.tuning.Load().Limits.TableValueBytes, key[i]); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// kvScope resolves the view's scope; one that does not exist is nil, and has no
// keys.
func (v *View) kvScope(src snapshot) *catalog.Scope {
	s, err := v.names.Scope(src.Catalog(), v.project, v.scope)
	if err != nil {
		v.noteRefusal(err)
		return nil
	}
	return s
}

// noteRefusal records that a transaction was refused a read. It depends on what is
// defined, and the catalog has no entry for a name that is missing: so the
// transaction comes to depend on the catalog as a whole.
func (v *View) noteRefusal(err error) {
	if err != nil && v.recorder != nil {
		v.recorder.Range(catalog.SpaceCatalog, nil, nil)
	}
}
