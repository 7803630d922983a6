package record

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// IndexEntry is one entry of an index.
type IndexEntry struct {
	Key, Value []byte
	// Exclusive is set in a unique index when no indexed column is Null: no
	// other row may have the same Key.
	Exclusive bool
}

// Index returns the entry of a row in an index. The column function gives the
// value at a position; rowKey is the row's key and is not modified.
func Index(x *catalog.Index, column func(position int) value.Value, rowKey []byte) IndexEntry {
	exclusive := x.Unique
	key := make([]byte, 0, 9*len(x.Columns)+len(rowKey))
	for _, p := range x.Columns {
		v := column(p)
		exclusive = exclusive && !v.IsNull()
		key = value.AppendKey(key, v)
	}
	if exclusive {
		return IndexEntry{Key: key, Value: rowKey, Exclusive: true}
	}
	return IndexEntry{Key: append(key, rowKey...)}
}

// IndexedRowKey returns the key of the row that an index entry points to. The
// result aliases the entry.
func IndexedRowKey(x *catalog.Index, key, val []byte) ([]byte, error) {
	if len(val) > 0 {
		return val, nil
	}
	rest := key
	for range x.Columns {
		var err error
		if rest, err = value.SkipKey(rest); err != nil {
			return nil, errs.Wrap(errs.CodeIntegrity, err, "entry of index %q", x.Name)
		}
	}
	return rest, nil
}
