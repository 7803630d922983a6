package reader

import (
	"bytes"
	"slices"

	"github.com/empyrealapp/aedb-go/value"
)

// sortedRow is a row with its sort key: the encoded sort columns, each in its
// own direction, and the primary key. The order of rows is that of the bytes.
type sortedRow struct {
	key  []byte
	row  value.Row
	size int64
}

// top keeps the first rows of an order.
type top struct {
	rows []sortedRow // sorted in the end
	most int         // rows to keep; -1 is all
	// dropped is whether there were more.
	dropped bool
	bytes   int64 // estimated memory of rows
}

// sorted returns the first rows in order after the plan's position.
func (x *execution) sorted(most int) (*top, error) {
	t := &top{most: most}
	var key []byte
	for x.next(0) {
		key = key[:0]
		for _, k := range x.order {
			if v := x.view.column(k.position); k.desc {
				key = value.AppendKeyDesc(key, v)
			} else {
				key = value.AppendKey(key, v)
			}
		}
		key = append(key, x.view.row.Key...)
		if x.after != nil && bytes.Compare(key, x.after) <= 0 {
			continue
		}
		if t.full() && bytes.Compare(key, t.rows[t.most-1].key) >= 0 {
			t.dropped = true
			continue
		}
		// One arena for each row, since which of them stay is not known yet.
		t.add(bytes.Clone(key), x.project(1))
		if t.bytes > x.options.MaxMemory {
			t.cut()
		}
		if t.bytes > x.options.MaxMemory {
			x.scan.stop()
			return nil, materializationExceeded(x.table, t.bytes, x.options.MaxMemory)
		}
	}
	t.cut()
	return t, x.err
}

// full reports whether the rows at the front are the first of all seen so far
// but those behind them, so that the last of these is a bar for new ones.
func (t *top) full() bool { return t.most >= 0 && len(t.rows) >= t.most && t.dropped }

// add collects a row. Once there are twice as many as are wanted, half of them
// are dropped, so that a row costs the logarithm of what is kept.
func (t *top) add(key []byte, row value.Row) {
	size := int64(len(key))
	for _, v := range row {
		size += int64(v.Size())
	}
	size = 2 * (size + 32)
	t.rows = append(t.rows, sortedRow{key: key, row: row, size: size})
	t.bytes += size
	if t.most >= 0 && len(t.rows) >= 2*t.most {
		t.cut()
	}
}

// cut sorts the rows and drops those that are not wanted.
func (t *top) cut() {
	slices.SortFunc(t.rows, func(a, b sortedRow) int { return bytes.Compare(a.key, b.key) })
	if t.most < 0 || len(t.rows) <= t.most {
		return
	}
	for _, r := range t.rows[t.most:] {
		t.bytes -= r.size
	}
	clear(t.rows[t.most:])
	t.rows, t.dropped = t.rows[:t.most], true
}
