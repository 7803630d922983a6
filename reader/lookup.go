package reader

import (
	"github.com/empyrealapp/aedb-go/blocktree"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/record"
)

// lookupsAtOnce is how many rows are looked up at once.
const lookupsAtOnce = 16

// lookups are the rows behind the next entries of an index. They lie anywhere in
// the table, so that one after the other would be waited for; looked up at once,
// they are waited for together.
//
// What is read ahead is not recorded before it is asked for; with a recorder nothing
// is read ahead, since the scan records how far it has come.
type lookups struct {
	src     Source
	left    int // rows at most that will be asked for
	entries [lookupsAtOnce][]byte
	keys    [lookupsAtOnce][]byte
	found   [lookupsAtOnce]blocktree.Entry
	n, at   int   // of the entries, and which one is visited
	err     error // of the entry behind the last
}

// next goes on to the next row that was looked up, and reports whether there is one.
func (l *lookups) next() bool {
	l.at++
	return l.at < l.n || l.at == l.n && l.err != nil
}

// gather looks up the row of the entry that a scan is on, and those of the entries
// behind it, to which it moves the scan.
func (l *lookups) gather(x *catalog.Index, table catalog.SpaceID, s *scan) {
	most := min(max(l.left, 1), lookupsAtOnce)
	if s.rec != nil {
		most = 1
	}
	l.n, l.at = 0, 0
	for {
		entry, val, _ := s.cursor.Entry()
		key, err := record.IndexedRowKey(x, entry, val)
		if err != nil {
			l.err = err
			break
		}
		l.entries[l.n], l.keys[l.n] = entry, key
		if l.n++; l.n == most || !s.next() {
			break
		}
	}
	l.left -= l.n
	l.src.GetMany(table, l.keys[:l.n], l.found[:l.n])
}

// load moves a view to the row that is visited.
func (l *lookups) load(v *view, rec Recorder) error {
	if l.at == l.n {
		return l.err
	}
	key := l.keys[l.at]
	if rec != nil {
		rec.Point(v.row.Table.ID, key)
	}
	data := l.found[l.at].Value
	if data == nil {
		return errs.New(errs.CodeIntegrity, "index %q of table %s points to a row that does not exist",
			v.index.Name, v.row.Table).On(v.index.Name)
	}
	v.set(l.entries[l.at], key, data)
	return nil
}
