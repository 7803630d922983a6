package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/holiman/uint256"

	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/value"
)

const (
	project   = "p"
	scopeName = catalog.DefaultScope
	// setupSeq is the commit that makes the project.
	setupSeq = 1
	// windowCommits is how long idempotency keys are remembered: short, so that
	// records expire.
	windowCommits = 12
)

var (
	scope  = msgs.ScopeName{Project: project, Scope: scopeName}
	window = applier.Window{Commits: windowCommits}
	limits = executor.Limits{
		MaxMutations: 100, MaxAssertions: 100, MaxTransactionSize: 1 << 20, MaxBatchRows: 100,
		MaxKVKey: 100, MaxKVValue: 1 << 16, MaxTableValue: 1 << 10, MaxPrimaryKey: 1 << 10, MaxEventPayload: 1 << 10,
	}
)

// opKind is what an operation of the model does.
type opKind uint8

const (
	opSetup opKind = iota
	opSet
	opAdd
	opRemove
	opInsert
	opUpsert
	opDeleteRow
	opCreateTable
	opDropTable
	opCreateIndex
	opDropIndex
)

// op is a mutation in the model's terms.
type op struct {
	kind               opKind
	key, value, table  string
	id, unique, number int64
}

// check is an assertion on a key: that it is there or not, or its version.
type check struct {
	key       string
	expected  bool
	versioned bool
	version   uint64
}

// read is something that a request was decided on: a key with the version it had,
// or the keys from key to end with the seq of the snapshot.
type read struct {
	key, end string
	ranged   bool
	version  uint64
}

// request is an envelope in the model's terms.
type request struct {
	ops      []op
	checks   []check
	reads    []read
	key      byte // of idempotency, 0 for none
	economic bool
	volatile bool
	flush    bool
}

// body tells requests apart that ask different things.
func (q *request) body() string { return fmt.Sprint(q.ops, q.checks, q.economic, q.volatile) }

// workload makes up requests.
type workload struct {
	*rand.Rand
	valueBytes int // of the largest values
	past       []*request
}

func (w *workload) one(of string) string { return string(of[w.IntN(len(of))]) }

// next returns a request of a caller who sees an image.
func (w *workload) next(visible uint64, seen database) *request {
	switch {
	case visible < setupSeq:
		return &request{ops: []op{{kind: opSetup}}}
	case w.IntN(25) == 0:
		return &request{flush: true}
	case len(w.past) > 0 && w.IntN(8) == 0:
		return w.past[len(w.past)-1-w.IntN(min(len(w.past), 10))] // a retry
	}
	q := &request{economic: w.IntN(8) == 0}
	used := map[string]bool{}
	for range 1 + w.IntN(4) {
		// One operation for each object: how an envelope treats what it has just
		// changed itself is not what this is about.
		if o := w.op(seen); !used[o.object()] {
			used[o.object()] = true
			q.ops = append(q.ops, o)
		}
	}
	if w.IntN(5) == 0 {
		key := w.one("abcdef")
		q.checks = []check{{key: key, expected: w.IntN(2) == 0, versioned: w.IntN(2) == 0, version: seen.keys[key].version}}
	}
	if w.IntN(4) == 0 {
		key := w.one("abcdef")
		q.reads = append(q.reads, read{key: key, version: seen.keys[key].version})
	}
	if w.IntN(6) == 0 {
		q.reads = append(q.reads, read{key: w.one("abc"), end: w.one("def"), ranged: true, version: visible})
	}
	switch {
	case w.IntN(3) == 0:
		q.key = byte(1 + w.IntN(10))
	case !q.economic && q.onlyKeys():
		// What was derived from rows or remembered would not go with them.
		q.volatile = w.IntN(3) == 0
	}
	if len(q.reads) == 0 {
		w.past = append(w.past, q)
	}
	return q
}

func (w *workload) op(seen database) op {
	name := w.one("tttv")
	n := w.IntN(100)
	if _, there := seen.tables[name]; !there && n >= 62 && w.IntN(10) > 0 {
		return op{kind: opCreateTable, table: name} // else there would be little to do
	}
	switch {
	case n < 40:
		return op{kind: opSet, key: w.one("abcdef"), value: strings.Repeat(w.one("xyz"), w.IntN(w.valueBytes))}
	case n < 52:
		return op{kind: opRemove, key: w.one("abcdefmn")}
	case n < 62:
		return op{kind: opAdd, key: w.one("mn"), number: w.Int64N(100)}
	case n < 84:
		kind := []opKind{opInsert, opUpsert, opUpsert}[w.IntN(3)]
		return op{kind: kind, table: name, id: w.Int64N(12), unique: w.Int64N(24) - 6, number: w.Int64N(100)}
	case n < 92:
		return op{kind: opDeleteRow, table: name, id: w.Int64N(12)}
	}
	kinds := []opKind{opCreateTable, opCreateTable, opCreateTable, opDropTable, opCreateIndex, opDropIndex}
	return op{kind: kinds[w.IntN(len(kinds))], table: name}
}

// onlyKeys tells whether the request writes key-value entries and nothing else.
func (q *request) onlyKeys() bool {
	return !slices.ContainsFunc(q.ops, func(o op) bool { return o.key == "" })
}

// object names what an operation is about.
func (o op) object() string {
	if o.key != "" {
		return o.key
	}
	return o.table
}

func (o op) mutations() []msgs.Mutation {
	rows := msgs.TableName{Project: project, Scope: scopeName, Table: o.table}
	define := func(s catalog.Statement) msgs.Mutation { return msgs.Define{Statement: s} }
	index := func(name string, unique bool) msgs.Mutation {
		return define(catalog.CreateIndex{
			Project: project, Scope: scopeName, Table: o.table,
			Index: catalog.IndexSpec{Name: name, Columns: []string{name}, Unique: unique},
		})
	}
	write := func(mode msgs.WriteMode) msgs.Mutation {
		return msgs.WriteRows{Table: rows, Mode: mode, Rows: []value.Row{row{o.unique, o.number, 0}.values(o.id)}}
	}
	var m msgs.Mutation
	switch o.kind {
	case opSetup:
		m = define(catalog.CreateProject{Project: project})
	case opSet:
		m = msgs.KvSet{Scope: scope, Key: []byte(o.key), Value: []byte(o.value)}
	case opAdd:
		m = msgs.KvArithmetic{Scope: scope, Key: []byte(o.key), Width: msgs.Width64, Amount: *uint256.NewInt(uint64(o.number))}
	case opRemove:
		m = msgs.KvDel{Scope: scope, Key: []byte(o.key)}
	case opInsert:
		m = write(msgs.WriteInsert)
	case opUpsert:
		m = write(msgs.WriteUpsert)
	case opDeleteRow:
		m = msgs.DeleteRow{Table: rows, Key: []value.Value{value.Int(o.id)}}
	case opCreateTable:
		return []msgs.Mutation{define(catalog.CreateTable{
			Project: project, Scope: scopeName, Table: o.table, PrimaryKey: []string{"id"},
			Columns: []catalog.ColumnSpec{
				{Name: "id", Kind: value.KindInteger},
				{Name: "unique", Kind: value.KindInteger, Nullable: true},
				{Name: "amount", Kind: value.KindInteger},
			},
		}), index("unique", true)}
	case opDropTable:
		m = define(catalog.DropTable{Project: project, Scope: scopeName, Table: o.table, MustExist: true})
	case opCreateIndex:
		m = index("amount", false)
	case opDropIndex:
		m = define(catalog.DropIndex{Project: project, Scope: scopeName, Table: o.table, Index: "amount", MustExist: true})
	}
	return []msgs.Mutation{m}
}

// envelope says the request in the engine's terms.
func (q *request) envelope() *msgs.Envelope {
	env := &msgs.Envelope{}
	for _, o := range q.ops {
		env.Mutations = append(env.Mutations, o.mutations()...)
	}
	for _, c := range q.checks {
		var a msgs.Assertion = msgs.KeyExists{Scope: scope, Key: []byte(c.key), Expected: c.expected}
		if c.versioned {
			a = msgs.KeyVersion{Scope: scope, Key: []byte(c.key), Seq: c.version}
		}
		env.Assertions = append(env.Assertions, a)
	}
	for _, r := range q.reads {
		if r.ranged {
			env.ReadSet.KeyRanges = append(env.ReadSet.KeyRanges,
				msgs.KeyRangeRead{Scope: scope, Start: []byte(r.key), End: []byte(r.end), Version: r.version})
		} else {
			env.ReadSet.Keys = append(env.ReadSet.Keys, msgs.KeyRead{Scope: scope, Key: []byte(r.key), Version: r.version})
		}
	}
	if q.key > 0 {
		env.IdempotencyKey = &msgs.IdempotencyKey{q.key}
	}
	if q.economic {
		env.WriteClass = msgs.Economic
	}
	if q.volatile {
		env.WriteClass = msgs.Volatile
	}
	return env
}

// prepare does what a caller's goroutine does.
func (q *request) prepare(x *executor.Executor, schema *catalog.Catalog) (*msgs.Request, error) {
	if q.flush {
		return &msgs.Request{Flush: true}, nil
	}
	env := q.envelope()
	r, err := x.Prepare(schema, env)
	if err == nil && q.key > 0 {
		r.Idempotency = record.IdempotencyKey("", false, *env.IdempotencyKey)
		r.Fingerprint, err = executor.Fingerprint(env)
	}
	return r, err
}
