package aedb

import (
	"context"
	"iter"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/reader"
)

// Entry is one key-value entry. Its slices are the receiver's own.
type Entry = reader.Entry

// Range is the part of a key-value space that a scan visits. The zero Range is
// all of it, in ascending order.
type Range = reader.Range

// Page is one page of a scan.
type Page = reader.ScanPage

// KV reads the key-value space of a scope. A scope that does not exist has no
// keys.
type KV struct {
	// view returns the snapshot for a read with the given options.
	view func(readOptions) (*View, error)
}

// KV returns the reads of the scope's key-value space; to write, commit KvSet
// and its like. Each read sees its own snapshot: use View or BeginRead for
// several reads of one.
func (s *Scope) KV() KV { return KV{view: s.at} }

// KV returns the reads of the key-value space at the view's snapshot.
func (v *View) KV() KV {
	return KV{view: func(readOptions) (*View, error) { return v, nil }}
}

// snapshot resolves the snapshot and the view of one read.
func (kv KV) snapshot(ctx context.Context, o readOptions) (*View, snapshot, error) {
	if ctx.Err() != nil {
		return nil, snapshot{}, errs.FromContext(ctx, "before the read")
	}
	v, err := kv.view(o)
	if err != nil {
		return nil, snapshot{}, err
	}
	src, err := v.source()
	return v, src, err
}

// Get returns the entry under a key, and false if there is none.
func (kv KV) Get(ctx context.Context, key []byte, opts ...ReadOption) (Entry, bool, error) {
	v, src, err := kv.snapshot(ctx, gather(opts))
	if err != nil {
		return Entry{}, false, err
	}
	scope := v.kvScope(src)
	if scope == nil {
		return Entry{}, false, nil
	}
	return reader.GetKV(src, v.recorder, scope, key)
}

// GetMany returns the entries under some keys at one snapshot, nil for those
// that are not there.
func (kv KV) GetMany(ctx context.Context, keys [][]byte, opts ...ReadOption) ([]*Entry, error) {
	v, src, err := kv.snapshot(ctx, gather(opts))
	if err != nil {
		return nil, err
	}
	out := make([]*Entry, len(keys))
	scope := v.kvScope(src)
	if scope == nil {
		return out, nil
	}
	for i, key := range keys {
		if i%1024 == 1023 && ctx.Err() != nil {
			return nil, errs.FromContext(ctx, "while reading many keys")
		}
		e, ok, err := reader.GetKV(src, v.recorder, scope, key)
		if err != nil {
			return nil, err
		}
		if ok {
			out[i] = &e
		}
	}
	return out, nil
}

// Prefix yields the entries whose keys begin with a prefix, in ascending order,
// from one snapshot. After an error, which comes with a zero Entry, it ends.
func (kv KV) Prefix(ctx context.Context, prefix []byte, opts ...ReadOption) iter.Seq2[Entry, error] {
	return kv.Scan(ctx, Range{Prefix: prefix}, opts...)
}

// Scan yields the entries of a range from one snapshot.
func (kv KV) Scan(ctx context.Context, r Range, opts ...ReadOption) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		v, src, err := kv.snapshot(ctx, gather(opts))
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if scope := v.kvScope(src); scope != nil {
			reader.ScanKV(ctx, src, v.recorder, scope, r)(yield)
		}
	}
}

// Page returns one page of a range, with a cursor for WithCursor if more follow.
// Range.Limit is the size of the page; it must be positive.
func (kv KV) Page(ctx context.Context, r Range, opts ...ReadOption) (Page, error) {
	o := gather(opts)
	v, src, err := kv.snapshot(ctx, o)
	if err != nil {
		return Page{}, err
	}
	scope := v.kvScope(src)
	if scope == nil {
		return Page{SnapshotSeq: src.Seq()}, nil
	}
	page, err := reader.PageKV(ctx, src, v.recorder, scope, reader.PageRequest{
		Range: r, MaxRows: v.db.cfg.Reads.MaxScanRows, Cursor: o.cursor, Caller: v.caller, Sealer: v.db.sealer,
	})
	v.pin(src, page.Cursor)
	return page, err
}
