package executor

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/value"
)

// BindReads binds a read set to spaces.
func (x *Executor) BindReads(cat *catalog.Catalog, set *msgs.ReadSet) (d msgs.Dependencies, err error) {
	for _, k := range set.Keys {
		s, err := cat.Scope(k.Scope.Project, k.Scope.Scope)
		if err != nil {
			return d, err
		}
		d.Points = append(d.Points, msgs.PointRead{Space: s.ID, Key: clone(k.Key), Version: k.Version})
	}
	for _, r := range set.Rows {
		t, key, err := x.bindRowKey(cat, r.Table, r.Key)
		if err != nil {
			return d, err
		}
		d.Points = append(d.Points, msgs.PointRead{Space: t.ID, Key: key, Version: r.Version})
	}
	for _, k := range set.KeyRanges {
		s, err := cat.Scope(k.Scope.Project, k.Scope.Scope)
		if err != nil {
			return d, err
		}
		d.Ranges = append(d.Ranges, rangeRead(s.ID, k.Start, k.End, k.Version))
	}
	for _, r := range set.RowRanges {
		t, err := bindTable(cat, r.Table)
		if err != nil {
			return d, err
		}
		if len(r.Prefix) > len(t.PrimaryKey) {
			return d, errs.New(errs.CodeValidation, "the primary key of %s has %d columns, the prefix %d", t, len(t.PrimaryKey), len(r.Prefix)).On(t.Name)
		}
		prefix, err := x.encodeKey(t, r.Prefix)
		if err != nil {
			return d, err
		}
		d.Ranges = append(d.Ranges, rangeRead(t.ID, prefix, value.PrefixEnd(prefix), r.Version))
	}
	return d, nil
}

func rangeRead(space msgs.SpaceID, start, end []byte, version uint64) msgs.RangeRead {
	if end != nil {
		end = clone(end)
		if end == nil {
			end = []byte{} // an empty end is an empty range, not an open one
		}
	}
	return msgs.RangeRead{Space: space, Start: clone(start), End: end, Version: version}
}
