package aedb

import (
	"context"
	"iter"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/reader"
)

// Entry is one key-value entry. Those that a scan gives out share the memory of
// the store: their slices must not be modified, they never change, and as long as
// they are held a few KiB around them stay allocated. Clone what is kept long.
type Entry = reader.Entry

// Range is the part of a key-value space that a scan visits. The zero Range is
// all of it, in ascending order.
type Range = reader.Range

// Page is one page of a scan.
type Page = reader.ScanPage

// KV reads the key-value space of a scope. A scope that does not exist has no
// keys.
type KV struct {
	scope *ReadScope // each read sees a snapshot of its own; nil if view is set
	view  *View
}

// KV returns the reads of the scope's key-value space; to write, commit KvSet
// and its like. Each read sees its own snapshot: use View or BeginRead for
// several reads of one.
func (s *ReadScope) KV() KV { return KV{scope: s} }

// KV returns the reads of the key-value space at the view's snapshot.
func (v *View) KV() KV { return KV{view: v} }

// open returns the view of one read, its snapshot, and the scope, which is nil if
// it does not exist.
func (kv *KV) open(ctx context.Context, o readOptions) (v View, src snapshot, scope *catalog.Scope, err error) {
	if ctx.Err() != nil {
		return v, src, nil, errs.FromContext(ctx, "before the read")
	}
	if kv.view != nil {
		v = *kv.view
	} else if v, err = kv.scope.at(o); err != nil {
		return v, src, nil, err
	}
	if src, err = v.snapshot(); err != nil {
		return v, src, nil, err
	}
	return v, src, v.kvScope(src), nil
}

// get returns the entry under a key, whose value shares the memory of the store.
func (kv *KV) get(ctx context.Context, key []byte, opts []ReadOption) (Entry, bool, error) {
	v, src, scope, err := kv.open(ctx, gather(opts))
	if err != nil || scope == nil {
		return Entry{}, false, err
	}
	return reader.GetKV(src.Source, v.recorder, scope, key)
}

// Get returns the entry under a key, and false if there is none. Its slices are
// the caller's own.
func (kv KV) Get(ctx context.Context, key []byte, opts ...ReadOption) (Entry, bool, error) {
	e, ok, err := kv.get(ctx, key, opts)
	if !ok {
		return Entry{}, false, err
	}
	return e.Clone(), true, nil
}

// Counter returns the sum of a counter and its number of shards; both are 0 for a
// counter that has never been added to. It fails with overflow if 64 bits do not
// hold the sum.
func (kv KV) Counter(ctx context.Context, name []byte, opts ...ReadOption) (sum uint64, shards int, err error) {
	v, src, scope, err := kv.open(ctx, gather(opts))
	if err != nil || scope == nil {
		return 0, 0, err
	}
	if v.recorder != nil {
		executor.ObserveCounter(scope.ID, name, v.recorder)
	}
	return executor.ReadCounter(src.Source, scope.ID, name)
}

// AppendValue appends the value under a key to dst, and returns false and dst
// itself if there is none. It allocates only if dst has too little room.
func (kv KV) AppendValue(ctx context.Context, dst, key []byte, opts ...ReadOption) ([]byte, bool, error) {
	e, ok, err := kv.get(ctx, key, opts)
	return append(dst, e.Value...), ok, err
}

// GetMany returns the entries under some keys at one snapshot, nil for those
// that are not there. Their slices are the caller's own.
func (kv KV) GetMany(ctx context.Context, keys [][]byte, opts ...ReadOption) ([]*Entry, error) {
	v, src, scope, err := kv.open(ctx, gather(opts))
	if err != nil {
		return nil, err
	}
	out := make([]*Entry, len(keys))
	if scope == nil {
		return out, nil
	}
	err = reader.GetManyKV(ctx, src.Source, v.recorder, scope, keys, func(i int, e Entry) {
		e = e.Clone()
		out[i] = &e
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Prefix yields the entries whose keys begin with a prefix, in ascending order,
// from one snapshot, which is taken when the iteration begins. The entries share
// the memory of the store. After an error, which comes with a zero Entry, it ends.
func (kv KV) Prefix(ctx context.Context, prefix []byte, opts ...ReadOption) iter.Seq2[Entry, error] {
	return kv.Scan(ctx, Range{Prefix: prefix}, opts...)
}

// Scan yields the entries of a range, as Prefix does.
func (kv KV) Scan(ctx context.Context, r Range, opts ...ReadOption) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { kv.scan(ctx, r, opts, yield) }
}

func (kv *KV) scan(ctx context.Context, r Range, opts []ReadOption, yield func(Entry, error) bool) {
	v, src, scope, err := kv.open(ctx, gather(opts))
	switch {
	case err != nil:
		yield(Entry{}, err)
	case scope != nil:
		reader.ScanKV(ctx, src.Source, v.recorder, scope, r)(yield)
	}
}

// Page returns one page of a range, with a cursor for WithCursor if more follow.
// Range.Limit is the size of the page; it must be positive. The entries share the
// memory of the store.
func (kv KV) Page(ctx context.Context, r Range, opts ...ReadOption) (Page, error) {
	o := gather(opts)
	v, src, scope, err := kv.open(ctx, o)
	if err != nil {
		return Page{}, err
	}
	if scope == nil {
		return Page{SnapshotSeq: src.Seq()}, nil
	}
	page, err := reader.PageKV(ctx, src.Source, v.recorder, scope, reader.PageRequest{
		Range: r, MaxRows: v.store.tuning.Load().Reads.MaxScanRows, Cursor: o.cursor, Caller: v.caller, Sealer: v.store.sealer,
	})
	v.pin(src, page.Cursor)
	return page, err
}
