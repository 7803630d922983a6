package feed

import (
	"bytes"
	"time"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// decoder turns changesets into deltas.
type decoder struct {
	only     []Selector
	keysOnly bool
	schema   *schema // the one used last
}

func (d *decoder) use(c *catalog.Catalog) *schema {
	if d.schema == nil || d.schema.catalog != c {
		d.schema = newSchema(c, d.only)
	}
	return d.schema
}

// recent returns the delta of a commit that knows its schema and what it replaced.
func (d *decoder) recent(set *msgs.Changeset) (Delta, error) {
	before, err := catalogBefore(set)
	if err != nil {
		return Delta{}, commitError(set, err)
	}
	delta, _, err := d.decode(set, before, true)
	return delta, err
}

// logged returns the delta of a commit from the log, made under a schema, and the
// schema after it. The delta does not share the commit's memory.
func (d *decoder) logged(set *msgs.Changeset, before *catalog.Catalog) (Delta, *catalog.Catalog, error) {
	return d.decode(set, before, false)
}

func (d *decoder) decode(set *msgs.Changeset, before *catalog.Catalog, known bool) (Delta, *catalog.Catalog, error) {
	delta := Delta{Seq: set.Seq, Time: time.UnixMicro(set.Micros).UTC(), BeforeKnown: known, Volatile: set.Volatile}
	s := d.use(before)
	var defs *definitions
	var err error
	for i := range set.Effects {
		e := &set.Effects[i]
		switch {
		case e.Op == msgs.EffectDropSpace: // told of with the object that it belonged to
		case e.Space == catalog.SpaceCatalog:
			if defs == nil {
				defs = newDefinitions(s, d.only)
			}
			delta.Changes, err = defs.apply(delta.Changes, e)
			s = defs.schema
		case e.Space >= catalog.FirstUserSpace:
			delta.Changes, err = d.entry(delta.Changes, s, e, set.Prior(i), known)
		}
		if err != nil {
			return Delta{}, nil, commitError(set, err)
		}
	}
	if defs == nil {
		return delta, before, nil
	}
	after, err := defs.finish()
	if err != nil {
		return Delta{}, nil, commitError(set, err)
	}
	return delta, after, nil
}

func commitError(set *msgs.Changeset, err error) error {
	return errs.Wrap(errs.CodeOf(err), err, "commit %d cannot be told of", set.Seq)
}

// entry appends the change that an effect on a space of users' data stands for, if
// it is one and is selected.
func (d *decoder) entry(changes []Change, s *schema, e *msgs.Effect, prior msgs.Prior, known bool) ([]Change, error) {
	o, ok := s.objects[e.Space]
	if !ok {
		return changes, errs.New(errs.CodeIntegrity, "it writes to space %d, which nothing defines", e.Space)
	}
	if !o.selected || o.created == CreateIndex || o.table == nil && !hasPrefix(e.Key, o.prefixes) {
		return changes, nil
	}
	if known && e.Op == msgs.EffectDelete && prior.Version == 0 {
		return changes, nil // it was not there; only the log had to be told
	}
	key, val := e.Key, e.Value
	if !known {
		key = bytes.Clone(key)
		if !d.keysOnly {
			val = bytes.Clone(val)
		}
	}
	c := o.change(kindOf(e, prior, known))
	if o.table == nil {
		c.Key = key
	} else {
		c.PrimaryKey = keyValues(o.table, key)
	}
	if d.keysOnly {
		return append(changes, c), nil
	}
	var err error
	if prior.Version != 0 {
		if c.Before, err = contentOf(&o, key, prior.Value); err != nil {
			return changes, err
		}
	}
	if e.Op == msgs.EffectPut {
		if c.After, err = contentOf(&o, key, val); err != nil {
			return changes, err
		}
	}
	return append(changes, c), nil
}

func kindOf(e *msgs.Effect, prior msgs.Prior, known bool) Kind {
	switch {
	case e.Op == msgs.EffectDelete:
		return Delete
	case !known:
		return Put
	case prior.Version == 0:
		return Insert
	}
	return Update
}

// contentOf decodes a stored row or key-value entry. The content shares its
// memory, and that of the key.
func contentOf(o *object, key, stored []byte) (Content, error) {
	if o.table == nil {
		_, payload, err := record.SplitKV(stored)
		return Content{Value: payload}, err
	}
	row := make(value.Row, len(o.table.Columns))
	r := record.Row{Table: o.table, Key: key, Data: stored}
	r.BorrowAll(row)
	return Content{Row: row}, nil
}

func keyValues(t *catalog.Table, key []byte) []value.Value {
	values := make([]value.Value, len(t.PrimaryKey))
	for i := range values {
		v, rest, err := value.BorrowKey(key)
		if err != nil {
			break
		}
		values[i], key = v, rest
	}
	return values
}
