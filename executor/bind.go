package executor

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

// unknown is the answer to a variant of a closed set that is not one of ours,
// such as a nil.
func unknown(v any) error {
	return errs.New(errs.CodeValidation, "unknown request element of type %T", v)
}

// Prepare checks the shape of an envelope and binds it to a catalog. It fills
// everything of the request but its context, ticket and idempotency.
func (x *Executor) Prepare(cat *catalog.Catalog, env *msgs.Envelope) (*msgs.Request, error) {
	if len(env.Mutations) == 0 {
		return nil, errs.New(errs.CodeValidation, "the envelope has no mutations")
	}
	if n := len(env.Mutations); n > x.Limits.MaxMutations {
		return nil, errs.Exceeded("envelope mutations", "max_mutations_per_envelope", int64(n), int64(x.Limits.MaxMutations))
	}
	if env.WriteClass > msgs.Volatile {
		return nil, errs.New(errs.CodeValidation, "unknown write class %d", env.WriteClass)
	}
	if env.WriteClass == msgs.Volatile {
		if err := checkVolatile(env); err != nil {
			return nil, err
		}
	}
	r := &msgs.Request{Catalog: cat, WriteClass: env.WriteClass}
	r.Take(env.Mutations)
	room, err := roomFor(r, len(env.Assertions)), error(nil)
	if r.Conditions, err = x.bindConditions(cat, env.Assertions, &room); err != nil {
		return nil, err
	}
	if r.Reads, err = x.BindReads(cat, &env.ReadSet); err != nil {
		return nil, err
	}
	r.Size = sizeOfConditions(r.Conditions) + sizeOfReads(&r.Reads)
	assertions := countConditions(r.Conditions)
	// Mutations after a definition are bound to a staged catalog, to refuse early
	// what cannot succeed, and bound again when the definition has happened.
	staged := cat
	for i, m := range r.Mutations {
		op, err := x.bind(staged, m, &room)
		if err != nil {
			return nil, &msgs.MutationError{Index: i, Err: err}
		}
		r.Operations = append(r.Operations, op)
		r.Size += sizeOf(op)
		switch op := op.(type) {
		case *msgs.Alter:
			if staged, _, err = staged.Apply(op.Statement, 0); err != nil {
				return nil, &msgs.MutationError{Index: i, Err: err}
			}
		case *msgs.Check:
			assertions += countConditions(op.Conditions)
		case *msgs.Guard:
			assertions += countConditions(op.Conditions)
		}
	}
	if assertions > x.Limits.MaxAssertions {
		return nil, tooManyAssertions(assertions, x.Limits.MaxAssertions)
	}
	return r, x.checkSize(r)
}

// Assemble makes a request of mutations that have been performed on a fork, with
// the operations they were bound to there, and of what was read for them. The
// catalog is that of the snapshot under the fork.
func (x *Executor) Assemble(cat *catalog.Catalog, mutations []msgs.Mutation, bound []msgs.Operation, reads msgs.Dependencies) (*msgs.Request, error) {
	r := &msgs.Request{Mutations: mutations, Catalog: cat, Operations: bound, Reads: reads, Size: sizeOfReads(&reads)}
	for _, op := range bound {
		r.Size += sizeOf(op)
	}
	return r, x.checkSize(r)
}

// Bind resolves one mutation against a catalog.
func (x *Executor) Bind(cat *catalog.Catalog, m msgs.Mutation) (msgs.Operation, error) {
	return x.bind(cat, m, new(room))
}

func (x *Executor) bind(cat *catalog.Catalog, m msgs.Mutation, room *room) (msgs.Operation, error) {
	switch m := m.(type) {
	case msgs.KvSet:
		space, err := x.bindKey(cat, m.Scope, m.Key)
		if err == nil {
			err = x.checkValue(m.Value)
		}
		if err != nil {
			return nil, err
		}
		return room.put(space, m), nil
	case msgs.KvSetMany:
		return x.bindPairs(cat, m)
	case msgs.KvDel:
		space, err := x.bindKey(cat, m.Scope, m.Key)
		if err != nil {
			return nil, err
		}
		return &msgs.RemoveKey{Space: space, Key: room.clone(m.Key)}, nil
	case msgs.KvArithmetic:
		return x.bindArithmetic(cat, m, room)
	case msgs.KvAddSigned:
		return x.bindAddSigned(cat, m, room)
	case msgs.CounterAdd:
		return x.bindCounter(cat, m, room)
	case msgs.WriteRows:
		return x.bindRows(cat, m)
	case msgs.UpdateFields:
		return x.bindFields(cat, m)
	case msgs.DeleteRow:
		t, key, err := x.bindRowKey(cat, m.Table, m.Key)
		if err != nil {
			return nil, err
		}
		if err := writable(t); err != nil {
			return nil, err
		}
		return &msgs.RemoveRow{Table: t, Key: key}, nil
	case msgs.CellArithmetic:
		return x.bindCell(cat, m)
	case msgs.UpdateRows:
		return x.bindUpdate(cat, m)
	case msgs.DeleteRows:
		selection, err := bindSelection(cat, m.Selection)
		if err != nil {
			return nil, err
		}
		return &msgs.RemoveRows{Selection: selection, Source: m}, nil
	case msgs.Guarded:
		return x.bindGuarded(cat, m, room)
	case msgs.EmitEvent:
		return x.bindEvent(cat, m)
	case msgs.PostflightCheck:
		conditions, err := x.bindConditions(cat, m.Assertions, room)
		if err != nil {
			return nil, err
		}
		return &msgs.Check{Conditions: conditions}, nil
	case msgs.Define:
		statement := catalog.Clone(m.Statement)
		if statement == nil {
			return nil, unknown(m.Statement)
		}
		return &msgs.Alter{Statement: statement}, nil
	}
	return nil, unknown(m)
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// writable refuses tables that only the engine writes.
func writable(t *catalog.Table) error {
	if t.Managed {
		return errs.New(errs.CodeValidation, "table %s is managed and read-only", t).On(t.Name)
	}
	return nil
}

// bindKey resolves the space of a key that is to be written.
func (x *Executor) bindKey(cat *catalog.Catalog, scope msgs.ScopeName, key []byte) (msgs.SpaceID, error) {
	if err := x.checkKey(key); err != nil {
		return 0, err
	}
	s, err := bindScope(cat, scope)
	if err != nil {
		return 0, err
	}
	return s.ID, nil
}

// checkKey refuses a key that cannot be written to a scope.
func (x *Executor) checkKey(key []byte) error {
	if n := len(key); n > x.Limits.MaxKVKey {
		return errs.Exceeded("key-value key", "max_kv_key_bytes", int64(n), int64(x.Limits.MaxKVKey))
	}
	return reserved(key)
}

func (x *Executor) checkValue(val []byte) error {
	if n := len(val); n > x.Limits.MaxKVValue {
		return errs.Exceeded("key-value value", "max_kv_value_bytes", int64(n), int64(x.Limits.MaxKVValue))
	}
	return nil
}

func (x *Executor) bindPairs(cat *catalog.Catalog, m msgs.KvSetMany) (msgs.Operation, error) {
	s, err := bindScope(cat, m.Scope)
	if err != nil {
		return nil, err
	}
	if len(m.Pairs) == 0 {
		return nil, errs.New(errs.CodeValidation, "a write of keys to scope %s/%s has no pairs", m.Scope.Project, m.Scope.Scope)
	}
	if n := len(m.Pairs); n > x.Limits.MaxBatchRows {
		return nil, errs.Exceeded("pairs of a write of keys", "max_batch_rows", int64(n), int64(x.Limits.MaxBatchRows))
	}
	size := 0
	for i := range m.Pairs {
		if err := x.checkKey(m.Pairs[i].Key); err != nil {
			return nil, err
		}
		if err := x.checkValue(m.Pairs[i].Value); err != nil {
			return nil, err
		}
		size += pairBytes(m.Pairs[i].Key, m.Pairs[i].Value)
	}
	op, room := &msgs.PutKeys{Space: s.ID, Pairs: make([]msgs.KvPair, len(m.Pairs))}, room{bytes: make([]byte, 0, size)}
	for i, p := range m.Pairs {
		op.Pairs[i].Key, op.Pairs[i].Value = room.pair(p.Key, p.Value)
	}
	return op, nil
}

// bindScope resolves a scope that is to be written to.
func bindScope(cat *catalog.Catalog, n msgs.ScopeName) (*catalog.Scope, error) {
	if n.Project == catalog.SystemProject {
		return nil, errs.New(errs.CodeValidation, "project %q is managed and read-only", n.Project).On(n.Project)
	}
	return cat.Scope(n.Project, n.Scope)
}

func (x *Executor) bindArithmetic(cat *catalog.Catalog, m msgs.KvArithmetic, room *room) (msgs.Operation, error) {
	space, err := x.bindKey(cat, m.Scope, m.Key)
	if err != nil {
		return nil, err
	}
	if err := checkPolicies(m.Op, m.OnMissing, m.OnLimit); err != nil {
		return nil, err
	}
	switch {
	case m.Width != msgs.Width64 && m.Width != msgs.Width256:
		return nil, errs.New(errs.CodeValidation, "arithmetic on numbers of %d bytes; 8 and 32 are supported", m.Width)
	case m.Width == msgs.Width64 && !m.Amount.IsUint64():
		return nil, errs.New(errs.CodeOverflow, "the amount does not fit 64 bits")
	}
	m.Key = room.clone(m.Key)
	return &msgs.Compute{Space: space, KvArithmetic: m}, nil
}

func (x *Executor) bindAddSigned(cat *catalog.Catalog, m msgs.KvAddSigned, room *room) (msgs.Operation, error) {
	space, err := x.bindKey(cat, m.Scope, m.Key)
	if err != nil {
		return nil, err
	}
	switch {
	case m.OnMissing > msgs.MissingReject:
		return nil, errs.New(errs.CodeValidation, "an arithmetic mutation has an unknown operation or policy")
	case m.Least != nil && m.Greatest != nil && *m.Least > *m.Greatest:
		return nil, errs.New(errs.CodeValidation, "the least number allowed is %d, above the greatest, %d", *m.Least, *m.Greatest)
	}
	m.Key, m.Least, m.Greatest = room.clone(m.Key), cloneNumber(m.Least), cloneNumber(m.Greatest)
	return &msgs.AddSigned{Space: space, KvAddSigned: m}, nil
}

func cloneNumber(n *int64) *int64 {
	if n == nil {
		return nil
	}
	c := *n
	return &c
}

func (x *Executor) bindCounter(cat *catalog.Catalog, m msgs.CounterAdd, room *room) (msgs.Operation, error) {
	space, err := x.bindKey(cat, m.Scope, m.Key)
	if err != nil {
		return nil, err
	}
	if m.Shards < 1 || m.Shards > msgs.MaxCounterShards {
		return nil, errs.New(errs.CodeValidation, "a counter of %d shards; 1 to %d are supported", m.Shards, msgs.MaxCounterShards)
	}
	m.Key = room.clone(m.Key)
	return &msgs.Count{Space: space, CounterAdd: m}, nil
}

func (x *Executor) bindGuarded(cat *catalog.Catalog, m msgs.Guarded, room *room) (msgs.Operation, error) {
	switch m.Do.(type) {
	case msgs.Define, msgs.PostflightCheck, msgs.Guarded:
		return nil, errs.New(errs.CodeValidation, "a guarded mutation holds a %T, not a write", m.Do)
	}
	conditions, err := x.bindConditions(cat, m.If, room)
	if err != nil {
		return nil, err
	}
	op, err := x.bind(cat, m.Do, room)
	if err != nil {
		return nil, err
	}
	return &msgs.Guard{Conditions: conditions, Operation: op}, nil
}

func (x *Executor) bindUpdate(cat *catalog.Catalog, m msgs.UpdateRows) (msgs.Operation, error) {
	op := &msgs.SetRows{Source: m}
	op.Source.Set = slices.Clone(m.Set)
	var err error
	if op.Selection, err = bindSelection(cat, m.Selection); err != nil {
		return nil, err
	}
	op.Set, err = x.bindAssignments(op.Selection.Table, op.Source.Set, false)
	return op, err
}

// bindTable resolves a table by name.
func bindTable(cat *catalog.Catalog, n msgs.TableName) (*catalog.Table, error) {
	return cat.Table(n.Project, n.Scope, n.Table)
}

// bindRowKey resolves a table and encodes a primary key for it.
func (x *Executor) bindRowKey(cat *catalog.Catalog, n msgs.TableName, key []value.Value) (*catalog.Table, []byte, error) {
	t, err := bindTable(cat, n)
	if err != nil {
		return nil, nil, err
	}
	if len(key) != len(t.PrimaryKey) {
		return nil, nil, errs.New(errs.CodeValidation,
			"the primary key of %s has %d columns, got %d values", t, len(t.PrimaryKey), len(key)).On(t.Name)
	}
	enc, err := x.encodeKey(t, key)
	return t, enc, err
}

// encodeKey encodes leading primary-key values, checking their kinds.
func (x *Executor) encodeKey(t *catalog.Table, key []value.Value) ([]byte, error) {
	for i, v := range key {
		c := &t.Columns[t.PrimaryKey[i]]
		if err := value.Check(c.Name, c.Kind, false, x.Limits.MaxTableValue, v); err != nil {
			return nil, err
		}
	}
	enc := record.AppendRowKey(nil, key)
	return enc, x.checkKeySize(t, enc)
}

func (x *Executor) checkKeySize(t *catalog.Table, enc []byte) error {
	if len(enc) > x.Limits.MaxPrimaryKey {
		return errs.Exceeded("primary key of "+t.String(), "max_primary_key_bytes", int64(len(enc)), int64(x.Limits.MaxPrimaryKey))
	}
	return nil
}

func (x *Executor) bindRows(cat *catalog.Catalog, m msgs.WriteRows) (msgs.Operation, error) {
	t, err := bindTable(cat, m.Table)
	if err != nil {
		return nil, err
	}
	if err := writable(t); err != nil {
		return nil, err
	}
	if m.Mode > msgs.WriteUpsert {
		return nil, errs.New(errs.CodeValidation, "a write to %s has the unknown mode %d", t, m.Mode).On(t.Name)
	}
	if len(m.Rows) == 0 {
		return nil, errs.New(errs.CodeValidation, "a write to %s has no rows", t).On(t.Name)
	}
	if n := len(m.Rows); n > x.Limits.MaxBatchRows {
		return nil, errs.Exceeded("rows of a batch for "+t.String(), "max_batch_rows", int64(n), int64(x.Limits.MaxBatchRows))
	}
	target, err := targetColumns(t, m.Columns)
	if err != nil {
		return nil, err
	}
	op := &msgs.PutRows{Table: t, Mode: m.Mode, Rows: make([]msgs.BoundRow, len(m.Rows))}
	if m.OnConflict != nil {
		if m.Mode != msgs.WriteInsert {
			return nil, errs.New(errs.CodeValidation, "a write to %s has a conflict action, and is no insert", t).On(t.Name)
		}
		if op.Conflict, err = x.bindConflict(t, m.Columns, m.OnConflict); err != nil {
			return nil, err
		}
	}
	full := make(value.Row, len(t.Columns))
	for i, row := range m.Rows {
		if err := x.bindRow(t, target, full, row, &op.Rows[i]); err != nil {
			return nil, err
		}
	}
	return op, nil
}

// targetColumns maps the values of a given row to positions; nil means that
// they are in table order.
func targetColumns(t *catalog.Table, names []string) ([]int, error) {
	if names == nil {
		return nil, nil
	}
	target := make([]int, len(names))
	seen := make([]bool, len(t.Columns))
	for i, n := range names {
		p, ok := t.Column(n)
		if !ok {
			return nil, unknownColumn(t, n)
		}
		if seen[p] {
			return nil, errs.New(errs.CodeValidation, "column %q is given twice", n).On(n)
		}
		seen[p], target[i] = true, p
	}
	return target, nil
}

func unknownColumn(t *catalog.Table, name string) error {
	return errs.New(errs.CodeUnknownColumn, "table %s has no column %q", t, name).On(name)
}

// bindRow completes, checks and encodes one row. full is scratch space.
func (x *Executor) bindRow(t *catalog.Table, target []int, full, row value.Row, out *msgs.BoundRow) error {
	width := len(t.Columns)
	if target != nil {
		width = len(target)
	}
	if len(row) != width {
		return errs.New(errs.CodeValidation, "row column count mismatch: %d values for %d columns of %s", len(row), width, t).On(t.Name)
	}
	if target == nil {
		copy(full, row)
	} else {
		for i := range full {
			full[i] = value.Null()
			if d := t.Columns[i].Default; d != nil {
				full[i] = *d
			}
		}
		for i, p := range target {
			full[p] = row[i]
		}
	}
	for i := range full {
		if err := x.checkCell(&t.Columns[i], full[i]); err != nil {
			return err
		}
	}
	out.Key = record.AppendRowKeyOf(nil, t, full)
	if err := x.checkKeySize(t, out.Key); err != nil {
		return err
	}
	out.Data = record.AppendRow(nil, t, full)
	if len(t.Indexes) > 0 {
		out.Indexes = make([]record.IndexEntry, len(t.Indexes))
		at := func(p int) value.Value { return full[p] }
		for i, ix := range t.Indexes {
			out.Indexes[i] = record.Index(ix, at, out.Key)
			if err := checkIndexKeySize(ix, out.Indexes[i].Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxIndexKey bounds the key of an index entry: the indexed values, encoded, and
// the primary key. It keeps keys well below what a block can hold.
const maxIndexKey = 16 << 10

func checkIndexKeySize(ix *catalog.Index, key []byte) error {
	if len(key) > maxIndexKey {
		return errs.Exceeded("entry of index "+ix.Name, "max_index_key_bytes", int64(len(key)), maxIndexKey)
	}
	return nil
}

func (x *Executor) bindFields(cat *catalog.Catalog, m msgs.UpdateFields) (msgs.Operation, error) {
	t, key, err := x.bindRowKey(cat, m.Table, m.Key)
	if err != nil {
		return nil, err
	}
	if err := writable(t); err != nil {
		return nil, err
	}
	if len(m.Fields) == 0 {
		return nil, errs.New(errs.CodeValidation, "an update of %s assigns no column", t).On(t.Name)
	}
	op := &msgs.SetFields{Table: t, Key: key, Fields: make([]msgs.BoundField, len(m.Fields))}
	for i, f := range m.Fields {
		p, err := assignable(t, f.Column)
		if err != nil {
			return nil, err
		}
		if err := x.checkCell(&t.Columns[p], f.Value); err != nil {
			return nil, err
		}
		op.Fields[i] = msgs.BoundField{Position: p, Value: f.Value}
	}
	return op, nil
}

func (x *Executor) bindEvent(cat *catalog.Catalog, m msgs.EmitEvent) (msgs.Operation, error) {
	if _, err := bindScope(cat, m.Scope); err != nil {
		return nil, err
	}
	if err := catalog.CheckName("topic", m.Topic); err != nil {
		return nil, err
	}
	if strings.TrimSpace(m.Key) == "" {
		return nil, errs.New(errs.CodeValidation, "the key of an event on topic %q is blank", m.Topic).On(m.Topic)
	}
	if n := len(m.Key); n > x.Limits.MaxPrimaryKey/2 {
		return nil, errs.Exceeded("event key", "max_primary_key_bytes", int64(n), int64(x.Limits.MaxPrimaryKey/2))
	}
	if n := len(m.PayloadJSON); n > x.Limits.MaxEventPayload {
		return nil, errs.Exceeded("event payload", "max_event_payload_bytes", int64(n), int64(x.Limits.MaxEventPayload))
	}
	if !json.Valid([]byte(m.PayloadJSON)) {
		return nil, errs.New(errs.CodeValidation, "the payload of an event on topic %q is not JSON", m.Topic).On(m.Topic)
	}
	return &msgs.Emit{EmitEvent: m}, nil
}
