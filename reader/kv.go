package reader

import (
	"bytes"
	"context"
	"iter"

	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// Entry is one key-value entry. The slices of one that a scan gives out share the
// memory of the store: they must not be modified, they never change, and as long
// as they are held a few KiB around them stay allocated.
type Entry struct {
	Key   []byte
	Value []byte // nil in a scan of keys only
	// Version is the seq of the commit that wrote the entry last, Created of the
	// one that wrote it first.
	Version, Created uint64
}

// Clone returns a copy of the entry with memory of its own.
func (e Entry) Clone() Entry {
	both := append(append(make([]byte, 0, len(e.Key)+len(e.Value)), e.Key...), e.Value...)
	n := len(e.Key)
	e.Key = both[:n:n]
	if e.Value != nil {
		e.Value = both[n:]
	}
	return e
}

// GetKV returns the entry under a key of the scope, and false if there is none.
// Its key is the one given, its value shares the memory of the store.
func GetKV(src Source, rec Recorder, scope *catalog.Scope, key []byte) (Entry, bool, error) {
	if rec != nil {
		rec.Point(scope.ID, key)
	}
	raw, version, ok := src.Get(scope.ID, key)
	if !ok {
		return Entry{}, false, nil
	}
	created, payload, err := record.SplitKV(raw)
	if err != nil {
		return Entry{}, false, err
	}
	return Entry{key, payload, version, created}, true, nil
}

// GetManyKV calls visit with the entry under each of some keys of the scope that is
// there, and its index among the keys. Entries are those of GetKV. It looks at the
// context every few keys.
func GetManyKV(ctx context.Context, src Source, rec Recorder, scope *catalog.Scope, keys [][]byte, visit func(i int, e Entry)) error {
	var found [lookupsAtOnce]blocktree.Entry
	for first := 0; first < len(keys); first += lookupsAtOnce {
		if ctx.Err() != nil {
			return errs.FromContext(ctx, "while reading many keys")
		}
		some := keys[first:min(first+lookupsAtOnce, len(keys))]
		if rec != nil {
			for _, key := range some {
				rec.Point(scope.ID, key)
			}
		}
		src.GetMany(scope.ID, some, found[:len(some)])
		for i := range some {
			at := &found[i]
			if at.Value == nil {
				continue
			}
			created, payload, err := record.SplitKV(at.Value)
			if err != nil {
				return err
			}
			visit(first+i, Entry{at.Key, payload, at.Version, created})
		}
	}
	return nil
}

// Range is the part of a key-value space that a scan visits. The zero Range is
// all of it, in ascending order of the bytes of keys.
type Range struct {
	// Start and End bound the keys, Start itself in and End itself out, unless
	// changed below. A nil Start is the beginning, a nil End the end. If Start
	// is above End the range is empty.
	Start, End    []byte
	StartExcluded bool
	EndIncluded   bool
	// Prefix, if not empty, keeps the keys that begin with it.
	Prefix []byte
	// Reverse visits the highest key first.
	Reverse bool
	// KeysOnly leaves the values out.
	KeysOnly bool
	// Limit is the greatest number of entries; 0 is no limit for ScanKV.
	Limit int
}

// keys returns the range as one of keys. It is false if there can be none in it.
func (r *Range) keys() (KeyRange, bool) {
	k := KeyRange{Start: r.Start, End: r.End}
	if r.StartExcluded && r.Start != nil {
		k.Start = successor(r.Start)
	}
	if r.EndIncluded && r.End != nil {
		k.End = successor(r.End)
	}
	if len(r.Prefix) > 0 {
		if bytes.Compare(k.Start, r.Prefix) < 0 {
			k.Start = r.Prefix
		}
		if end := value.PrefixEnd(r.Prefix); end != nil && below(end, k.End) {
			k.End = end
		}
	}
	return k, below(k.Start, k.End)
}

// ScanKV yields the entries of a range, one by one. It looks at the context
// every 1024 entries and holds no lock in between. After an error, which comes
// with a zero Entry, it ends.
func ScanKV(ctx context.Context, src Source, rec Recorder, scope *catalog.Scope, r Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := scanKV(ctx, src, rec, scope, &r, nil, yield); err != nil {
			yield(Entry{}, err)
		}
	}
}

// counters begin with this; they have reads of their own.
var (
	counters    = []byte(record.CounterPrefix)
	countersEnd = value.PrefixEnd(counters)
)

// scanKV yields the entries behind a key, until their number is the limit of the
// range or no more are wanted.
func scanKV(ctx context.Context, src Source, rec Recorder, scope *catalog.Scope, r *Range, after []byte, yield func(Entry, error) bool) error {
	keys, ok := r.keys()
	if !ok {
		return nil
	}
	s := scan{
		ctx: ctx, rec: rec, cursor: src.Cursor(scope.ID), space: scope.ID, after: after,
		ranges: []KeyRange{keys}, way: way{backward: r.Reverse},
	}
	managed := keys.meets(counters, countersEnd)
	for n := 0; s.next(); {
		key, raw, version := s.cursor.Entry()
		if managed && bytes.HasPrefix(key, counters) {
			continue
		}
		n++
		created, payload, err := record.SplitKV(raw)
		if r.KeysOnly {
			payload = nil
		}
		if err != nil || !yield(Entry{key, payload, version, created}, nil) || n == r.Limit {
			s.stop()
			return err
		}
	}
	return s.err
}

// PageRequest asks for one page of a range.
type PageRequest struct {
	// Range says what to visit; its Limit, which must be positive, is the size
	// of this page. It may change from page to page, as may KeysOnly.
	Range Range
	// MaxRows caps the size of a page; 0 is DefaultMaxScanRows.
	MaxRows int
	// Cursor is that of the page before, or "" for the first one.
	Cursor string
	// Caller is whom cursors are bound to.
	Caller string
	// Sealer makes and opens cursors. Without one there are none.
	Sealer *Sealer
}

// ScanPage is one page of a range.
type ScanPage struct {
	Entries []Entry
	// Cursor continues after the last entry; "" if nothing follows.
	Cursor string
	// Truncated is whether more entries follow.
	Truncated   bool
	SnapshotSeq uint64
}

// PageKV returns one page of a range. A limit below 1 is a validation error; a
// cursor that was not issued for this range, scope, caller and snapshot is
// invalid_cursor.
func PageKV(ctx context.Context, src Source, rec Recorder, scope *catalog.Scope, req PageRequest) (ScanPage, error) {
	r := req.Range
	if r.Limit < 1 {
		return ScanPage{}, errs.New(errs.CodeValidation, "limit of a scan is %d, must be at least 1", r.Limit).On("limit")
	}
	maxRows := req.MaxRows
	if maxRows <= 0 {
		maxRows = DefaultMaxScanRows
	}
	size := min(r.Limit, maxRows)
	r.Limit = 0 // one entry more tells whether there is one
	page := ScanPage{SnapshotSeq: src.Seq()}
	identity := r.fingerprint(scope, req.Caller)
	var after []byte
	if req.Cursor != "" {
		p, err := req.Sealer.open(req.Cursor)
		if err != nil {
			return ScanPage{}, err
		}
		if p.fingerprint != identity || p.seq != src.Seq() {
			return ScanPage{}, errInvalidCursor()
		}
		after = p.key
	}
	err := scanKV(ctx, src, rec, scope, &r, after, func(e Entry, _ error) bool {
		page.Truncated = len(page.Entries) == size
		if !page.Truncated {
			page.Entries = append(page.Entries, e)
		}
		return !page.Truncated
	})
	if err != nil {
		return ScanPage{}, err
	}
	if page.Truncated && req.Sealer != nil {
		page.Cursor = req.Sealer.seal(position{
			seq: src.Seq(), size: size, space: scope.ID, fingerprint: identity, key: page.Entries[size-1].Key,
		})
	}
	return page, nil
}
