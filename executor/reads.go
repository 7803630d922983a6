package executor

import (
	"bytes"

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
		start, end, err := x.bindBand(t, &r)
		if err != nil {
			return d, err
		}
		d.Ranges = append(d.Ranges, msgs.RangeRead{Space: t.ID, Start: start, End: end, Version: r.Version})
	}
	return d, nil
}

// bindBand returns the range of keys that a range of rows is.
func (x *Executor) bindBand(t *catalog.Table, r *msgs.RowRangeRead) (start, end []byte, err error) {
	if start, err = x.encodeLeading(t, r.Prefix); err != nil {
		return nil, nil, err
	}
	end = value.PrefixEnd(start)
	if len(r.Start.Key) > 0 {
		low, err := x.encodeLeading(t, r.Start.Key)
		if err != nil {
			return nil, nil, err
		}
		if r.Start.Open {
			low = value.PrefixEnd(low)
		}
		if bytes.Compare(low, start) > 0 {
			start = low
		}
	}
	if len(r.End.Key) > 0 {
		high, err := x.encodeLeading(t, r.End.Key)
		if err != nil {
			return nil, nil, err
		}
		if !r.End.Open {
			high = value.PrefixEnd(high)
		}
		if end == nil || bytes.Compare(high, end) < 0 {
			end = high
		}
	}
	return start, end, nil
}

// encodeLeading encodes the leading values of a primary key.
func (x *Executor) encodeLeading(t *catalog.Table, key []value.Value) ([]byte, error) {
	if len(key) > len(t.PrimaryKey) {
		return nil, errs.New(errs.CodeValidation, "the primary key of %s has %d columns, the prefix %d", t, len(t.PrimaryKey), len(key)).On(t.Name)
	}
	return x.encodeKey(t, key)
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
