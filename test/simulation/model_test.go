package simulation

import (
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// entry is a key of the model, with the commits that made it and wrote it last.
type entry struct {
	value            string
	created, version uint64
}

// row is a row of the model. A negative unique value stands for Null.
type row struct {
	unique, amount int64
	version        uint64
}

// table is a table of the model.
type table struct {
	rows    map[int64]row
	indexed bool // by amount
}

// memory is what is remembered of an idempotency key.
type memory struct {
	seq  uint64
	body string
}

// database is the model's state after one commit.
type database struct {
	keys       map[string]entry
	touched    map[string]uint64 // when a key was last written or removed
	removed    map[string]uint64 // when the log was last told of the removal of one
	tables     map[string]table
	remembered map[byte]memory
	volatile   bool // the commit that led here is not in the log
	// unlogged means that such a commit has removed something since the store was
	// opened: from then on the log is told of removals that find nothing.
	unlogged bool
}

func (d database) clone() database {
	c := database{
		keys: maps.Clone(d.keys), touched: maps.Clone(d.touched), removed: maps.Clone(d.removed),
		tables: make(map[string]table, len(d.tables)), remembered: maps.Clone(d.remembered), unlogged: d.unlogged,
	}
	for name, t := range d.tables {
		c.tables[name] = table{maps.Clone(t.rows), t.indexed}
	}
	return c
}

// model is the database as it should be, at every commit since the store was
// made.
type model struct {
	past []database // by seq; what is in it never changes
	// digests has the ends of epochs, with the digest of the engine's image where one was
	// made: it must find its own state again, byte for byte.
	digests map[uint64]*[32]byte
}

func newModel() *model {
	empty := database{
		keys: map[string]entry{}, touched: map[string]uint64{}, removed: map[string]uint64{},
		tables: map[string]table{}, remembered: map[byte]memory{},
	}
	return &model{past: []database{empty}, digests: map[uint64]*[32]byte{}}
}

func (m *model) seq() uint64 { return uint64(len(m.past) - 1) }

func (m *model) head() database { return m.past[m.seq()] }

// logged returns the last commit up to a seq that the log has to hold.
func (m *model) logged(seq uint64) uint64 {
	for m.past[seq].volatile {
		seq--
	}
	return seq
}

// left returns what is left at a seq when everything has to be made again from a
// checkpoint and the log, and whether that is all there was.
func (m *model) left(checkpoint, seq uint64) (d database, whole bool) {
	d, whole = m.past[seq].clone(), true
	d.keys, d.volatile = maps.Clone(m.past[checkpoint].keys), m.past[seq].volatile
	for at := checkpoint + 1; at <= seq; at++ {
		if m.past[at].volatile {
			whole = false
			continue
		}
		for key, touched := range m.past[at].touched {
			if touched != at {
				continue
			}
			if e, there := m.past[at].keys[key]; there {
				d.keys[key] = e
			}
		}
		for key, removed := range m.past[at].removed {
			if removed == at {
				delete(d.keys, key)
			}
		}
	}
	return d, whole
}

// rewind makes what was left at a seq the present: a crash has undone the rest.
func (m *model) rewind(checkpoint, seq uint64) {
	d, whole := m.left(checkpoint, seq)
	d.unlogged = false
	m.past = append(m.past[:seq], d)
	maps.DeleteFunc(m.digests, func(at uint64, _ *[32]byte) bool { return at > seq || at == seq && !whole })
}

// answer is what the model says to a request.
type answer struct {
	code      errs.Code // "" for a success
	seq       uint64    // of the commit, or of the state that a refusal was decided on
	duplicate bool
}

// execute applies a request as the next commit, if nothing speaks against it.
func (m *model) execute(q *request) answer {
	head, seq := m.head(), m.seq()
	if q.flush {
		return answer{seq: seq}
	}
	if old, ok := head.remembered[q.key]; ok && seq-old.seq < windowCommits {
		if old.body != q.body() {
			return answer{code: errs.CodeIdempotencyMismatch, seq: seq}
		}
		return answer{seq: old.seq, duplicate: true}
	}
	if q.conflicts(head) {
		return answer{code: errs.CodeConflict, seq: seq}
	}
	for _, c := range q.checks {
		if !c.holds(head) {
			return answer{code: errs.CodeAssertionFailed, seq: seq}
		}
	}
	next := head.clone()
	next.volatile = q.volatile
	for _, o := range q.ops {
		if code := next.apply(o, seq+1); code != "" {
			return answer{code: code, seq: seq}
		}
	}
	for _, o := range q.ops {
		_, there := head.keys[o.key]
		next.unlogged = next.unlogged || q.volatile && o.kind == opRemove && there
	}
	if q.key > 0 {
		next.remembered[q.key] = memory{seq + 1, q.body()}
	}
	m.past = append(m.past, next)
	return answer{seq: seq + 1}
}

// conflicts tells whether something that was read has changed since.
func (q *request) conflicts(d database) bool {
	for _, r := range q.reads {
		if !r.ranged {
			if now := d.keys[r.key].version; now > r.version || now == 0 && r.version > 0 {
				return true
			}
			continue
		}
		for key, at := range d.touched {
			if key >= r.key && key < r.end && at > r.version {
				return true
			}
		}
	}
	return false
}

func (c check) holds(d database) bool {
	e, there := d.keys[c.key]
	if c.versioned {
		return e.version == c.version
	}
	return there == c.expected
}

// apply carries out an operation of commit seq, or says why it cannot.
func (d database) apply(o op, seq uint64) errs.Code {
	switch o.kind {
	case opSetup:
		return ""
	case opSet, opAdd:
		e, there := d.keys[o.key]
		if !there {
			e.created = seq
		}
		if o.kind == opSet {
			e.value = o.value
		} else {
			var sum uint64
			if there {
				sum = binary.BigEndian.Uint64([]byte(e.value))
			}
			e.value = string(binary.BigEndian.AppendUint64(nil, sum+uint64(o.number)))
		}
		e.version, d.touched[o.key] = seq, seq
		d.keys[o.key] = e
		return ""
	case opRemove:
		if _, there := d.keys[o.key]; there || d.unlogged {
			d.removed[o.key] = seq
		}
		if _, there := d.keys[o.key]; there {
			delete(d.keys, o.key)
			d.touched[o.key] = seq
		}
		return ""
	}
	t, there := d.tables[o.table]
	switch {
	case o.kind == opCreateTable && there:
		return errs.CodeTableAlreadyExists
	case o.kind == opCreateTable:
		d.tables[o.table] = table{rows: map[int64]row{}}
		return ""
	case !there:
		return errs.CodeTableNotFound
	}
	switch o.kind {
	case opDropTable:
		delete(d.tables, o.table)
	case opCreateIndex, opDropIndex:
		if create := o.kind == opCreateIndex; create == t.indexed {
			if create {
				return errs.CodeIndexAlreadyExists
			}
			return errs.CodeIndexNotFound
		}
		t.indexed = !t.indexed
		d.tables[o.table] = t
	case opDeleteRow:
		delete(t.rows, o.id)
	case opInsert, opUpsert:
		if _, there := t.rows[o.id]; there && o.kind == opInsert {
			return errs.CodeDuplicatePrimaryKey
		}
		for id, other := range t.rows {
			if id != o.id && o.unique >= 0 && other.unique == o.unique {
				return errs.CodeUniqueViolation
			}
		}
		t.rows[o.id] = row{o.unique, o.number, seq}
	}
	return ""
}

// compare tells how an image differs from the model's state at its seq.
func (m *model) compare(image *state.Image) error {
	if image.Seq() > m.seq() {
		return fmt.Errorf("an image at %d, the last commit is %d", image.Seq(), m.seq())
	}
	if image.Seq() < setupSeq {
		return nil // the schema is on its way
	}
	return m.past[image.Seq()].compare(image)
}

func (d database) compare(image *state.Image) error {
	scope, err := image.Catalog().Scope(project, scopeName)
	if err != nil {
		return err
	}
	if n := image.Len(scope.ID); n != len(d.keys) {
		return fmt.Errorf("%d keys at %d, the model has %d", n, image.Seq(), len(d.keys))
	}
	for key, e := range d.keys {
		raw, version, _ := image.Get(scope.ID, []byte(key))
		created, payload, err := record.SplitKV(raw)
		if got := (entry{string(payload), created, version}); err != nil || got != e {
			return fmt.Errorf("key %s at %d is %+v, in the model %+v: %w", key, image.Seq(), got, e, err)
		}
	}
	tables := 0
	for t := range image.Catalog().Tables(scope) {
		tables++
		if err := d.tables[t.Name].compare(image, t); err != nil {
			return fmt.Errorf("at %d: %w", image.Seq(), err)
		}
	}
	if tables != len(d.tables) {
		return fmt.Errorf("%d tables at %d, the model has %d", tables, image.Seq(), len(d.tables))
	}
	return nil
}

func (t table) compare(image *state.Image, of *catalog.Table) error {
	indexes := 1
	if t.indexed {
		indexes++
	}
	if len(of.Indexes) != indexes || image.Len(of.ID) != len(t.rows) {
		return fmt.Errorf("table %s has %d indexes and %d rows, in the model %d and %d",
			of.Name, len(of.Indexes), image.Len(of.ID), indexes, len(t.rows))
	}
	for id, r := range t.rows {
		key := record.AppendRowKey(nil, []value.Value{value.Int(id)})
		data, version, there := image.Get(of.ID, key)
		if !there || version != r.version {
			return fmt.Errorf("row %d of %s has version %d, in the model %d", id, of.Name, version, r.version)
		}
		got, want := record.Row{Table: of, Key: key, Data: data}.Values(nil), r.values(id)
		for i := range want {
			if value.Compare(got[i], want[i]) != 0 {
				return fmt.Errorf("row %d of %s is %v, in the model %v", id, of.Name, got, want)
			}
		}
	}
	return nil
}

func (r row) values(id int64) value.Row {
	unique := value.Null()
	if r.unique >= 0 {
		unique = value.Int(r.unique)
	}
	return value.Row{value.Int(id), unique, value.Int(r.amount)}
}

// keep remembers the digest of an image at the end of an epoch.
func (m *model) keep(image *state.Image) {
	digest := image.Digest()
	m.digests[image.Seq()] = &digest
}

// recovered checks what was made from a checkpoint and the log.
func (m *model) recovered(image *state.Image, checkpoint uint64) error {
	seq := image.Seq()
	if found := invariant.Check(image); len(found) > 0 {
		return fmt.Errorf("the recovered image is not sound: %v", found)
	}
	if seq < setupSeq {
		return nil
	}
	d, whole := m.left(checkpoint, seq)
	if err := d.compare(image); err != nil {
		return fmt.Errorf("made from checkpoint %d: %w", checkpoint, err)
	}
	digest, known := m.digests[seq]
	switch {
	case !known:
		return fmt.Errorf("recovered commit %d, which is not the end of an epoch", seq)
	case whole && digest != nil && *digest != image.Digest():
		return fmt.Errorf("commit %d was recovered with another digest", seq)
	}
	return nil
}
