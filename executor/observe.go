package executor

import (
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/msgs"
)

// Recorder takes note of what somebody has learnt about the store: an entry, or
// the entries in [start, end) of a space, to its end if end is nil.
type Recorder interface {
	Point(space catalog.SpaceID, key []byte)
	Range(space catalog.SpaceID, start, end []byte)
}

// Observe records what the outcome of an operation tells about the store, its
// replies included: for a transaction that takes the operation back, or acts upon
// what it told. The catalog is the one it was bound to.
func Observe(cat *catalog.Catalog, op msgs.Operation, rec Recorder) {
	whole := func(space catalog.SpaceID) { rec.Range(space, nil, nil) }
	switch op := op.(type) {
	case *msgs.PutKey: // tells that the scope is there, and nothing of what is in it
		rec.Range(op.Space, nil, []byte{})
	case *msgs.PutKeys:
		rec.Range(op.Space, nil, []byte{})
	case *msgs.RemoveKey:
		rec.Point(op.Space, op.Key)
	case *msgs.Compute:
		rec.Point(op.Space, op.Key)
	case *msgs.AddSigned:
		rec.Point(op.Space, op.Key)
	case *msgs.Count:
		ObserveCounter(op.Space, op.Key, rec)
	case *msgs.PutRows:
		whole(op.Table.ID)
	case *msgs.SetFields:
		whole(op.Table.ID)
	case *msgs.RemoveRow:
		rec.Point(op.Table.ID, op.Key)
	case *msgs.ComputeCell:
		whole(op.Table.ID)
	case *msgs.SetRows:
		whole(op.Selection.Table.ID)
	case *msgs.RemoveRows:
		whole(op.Selection.Table.ID)
	case *msgs.Guard:
		observeAll(op.Conditions, rec)
		Observe(cat, op.Operation, rec)
	case *msgs.Check:
		observeAll(op.Conditions, rec)
	case *msgs.Emit: // fails on what the same envelope emitted only
		if s, err := cat.Scope(op.Scope.Project, op.Scope.Scope); err == nil {
			rec.Range(s.ID, nil, []byte{})
		}
	case *msgs.Alter:
		whole(catalog.SpaceCatalog)
		if s, ok := op.Statement.(catalog.CreateIndex); ok { // unique values are looked at
			if t, err := cat.Table(s.Project, s.Scope, s.Table); err == nil {
				whole(t.ID)
			}
		}
	default:
		whole(catalog.SpaceCatalog)
	}
}

// ObserveBasis records what the writes of an operation that has succeeded were worked
// out from: for a transaction that looks at what it has written. What is replaced in
// its own place need not be recorded, as a look at that place is; nor need what an
// operation that succeeds tells, as it has to succeed again. The catalog is the one
// after the operation.
func ObserveBasis(cat *catalog.Catalog, op msgs.Operation, rec Recorder) {
	switch op := op.(type) {
	case *msgs.SetFields: // by way of an index the row is seen in another place
		rec.Point(op.Table.ID, op.Key)
	case *msgs.ComputeCell:
		rec.Point(op.Table.ID, op.Key)
	case *msgs.PutRows:
		if op.Conflict != nil {
			rec.Range(op.Table.ID, nil, nil)
		}
	case *msgs.SetRows:
		observeSelection(&op.Selection, rec)
	case *msgs.RemoveRows:
		observeSelection(&op.Selection, rec)
	case *msgs.Guard:
		ObserveBasis(cat, op.Operation, rec)
	case *msgs.PutKey, *msgs.PutKeys, *msgs.RemoveKey, *msgs.Compute, *msgs.AddSigned, *msgs.Count, *msgs.RemoveRow, *msgs.Emit, *msgs.Check:
	default: // definitions too: an index is made of rows
		Observe(cat, op, rec)
	}
}

// observeSelection records the rows that are looked at to find those of a selection.
func observeSelection(s *msgs.BoundSelection, rec Recorder) {
	if s.Path != nil {
		rec.Range(s.Table.ID, nil, nil)
		return
	}
	for _, r := range s.Ranges {
		rec.Range(s.Table.ID, r.Start, r.End)
	}
}

// ObserveCounter records that a counter was read.
func ObserveCounter(space catalog.SpaceID, name []byte, rec Recorder) {
	rec.Range(space, counterHead(name), append(counterHead(name), 0xff, 0xff, 0xff))
}

func observeAll(list []msgs.Condition, rec Recorder) {
	for i := range list {
		c := &list[i]
		observeAll(c.Inner, rec)
		switch {
		case c.Inner != nil:
		case c.Space == 0: // of a scope that is not there
			rec.Range(catalog.SpaceCatalog, nil, nil)
		case c.Selection != nil:
			rec.Range(c.Table.ID, nil, nil)
		default:
			rec.Point(c.Space, c.Key)
		}
	}
}
