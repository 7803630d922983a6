package aedb

import (
	"context"
	"encoding/binary"
	"strings"

	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/vfs"
)

// Part names what is restored of a backup: a project, a scope of it if Scope is
// given, a table of that if Table is.
type Part struct {
	Project, Scope, Table string
}

// RestorePartOptions say what a part is restored from and how.
type RestorePartOptions struct {
	// Options are the keys that the backups are verified and opened with.
	backup.Options
	// Target is the end of the newest backup by default.
	Target backup.Target
	// Replace drops what the store has under the name of the part. Else a part that
	// is there already is refused; a scope that holds nothing counts as not there.
	Replace bool
	// OneCommit refuses a part that does not fit one commit, with limit_exceeded and
	// without effect.
	OneCommit bool
}

// RestorePartReport tells what was restored.
type RestorePartReport struct {
	// Plan has the backups that were read, and the commit of which the part is.
	Plan backup.Plan
	// Commits were made, from FirstSeq on; others may have come between.
	Commits           int
	FirstSeq, LastSeq uint64
	// Tables, Rows, Keys and Counters count what was restored.
	Tables, Rows, Keys, Counters int
}

// RestorePart restores a part of a backup into this store, as ordinary commits of
// the session: with their permissions, limits and finality, and told in the feed of
// changes. Rows, key-value entries and counters get the contents they had at the
// target, and new seqs. Of the history of the part nothing is restored, nor are
// remembered requests and events.
//
// The backup is rebuilt in memory, in which it must find room beside the store.
//
// A part of up to half of Limits.TransactionBytes is one commit, and so atomic. A
// larger one takes several: the first drops what was there, and all fill in. Readers
// see it on its way, others may write to it meanwhile, and after an error it is
// there in part; calling it again with Replace makes it whole. What must not be
// seen half done is better restored with Restore, into another directory.
func (s *Session) RestorePart(ctx context.Context, from backup.Store, part Part, o RestorePartOptions) (RestorePartReport, error) {
	if err := s.usable(); err != nil {
		return RestorePartReport{}, err
	}
	if part.Project == "" || part.Scope == "" && part.Table != "" || part.Project == catalog.SystemProject {
		return RestorePartReport{}, errs.New(errs.CodeValidation, "a part is a project, a scope of a project or a table of a scope, and none of the engine's own")
	}
	plan, err := backup.MakePlan(ctx, from, o.Target, o.Options)
	if err != nil {
		return RestorePartReport{}, err
	}
	image, err := backup.Rebuild(ctx, from, &plan, backup.Scratch{FS: vfs.NewMem(), Name: restoreScratch}, o.Options)
	if err != nil {
		return RestorePartReport{}, err
	}
	g := graft{session: s, image: image, options: o, limits: s.db.reads.tuning.Load().Limits}
	g.report.Plan = plan
	if err := g.add(ctx, part); err != nil {
		return g.report, err
	}
	return g.report, g.commit(ctx, Durable)
}

// graft puts parts of an image into a store.
type graft struct {
	session *Session
	image   *state.Image // of the backup
	options RestorePartOptions
	limits  LimitsConfig

	batch  []Mutation // of the next commit
	bytes  int        // of them, about
	report RestorePartReport
}

// add grafts one part.
func (g *graft) add(ctx context.Context, part Part) error {
	project, err := g.image.Catalog().Project(part.Project)
	if err != nil {
		return err
	}
	if part.Scope == "" {
		return g.project(ctx, project)
	}
	scope, err := g.image.Catalog().Scope(part.Project, part.Scope)
	if err != nil {
		return err
	}
	if err := g.define(ctx, catalog.CreateProject{Project: part.Project}); err != nil {
		return err
	}
	if part.Table == "" {
		return g.scope(ctx, scope)
	}
	table, err := g.image.Catalog().Table(part.Project, part.Scope, part.Table)
	if err != nil {
		return err
	}
	if err := g.define(ctx, catalog.CreateScope{Project: part.Project, Scope: part.Scope}); err != nil {
		return err
	}
	if g.options.Replace {
		if err := g.define(ctx, catalog.DropTable{Project: part.Project, Scope: part.Scope, Table: part.Table}); err != nil {
			return err
		}
	}
	return g.table(ctx, table)
}

func (g *graft) project(ctx context.Context, p *catalog.Project) error {
	if g.options.Replace {
		if err := g.define(ctx, catalog.DropProject{Project: p.Name}); err != nil {
			return err
		}
	}
	if err := g.define(ctx, catalog.CreateProject{Project: p.Name, MustBeNew: true}); err != nil {
		return err
	}
	for scope := range g.image.Catalog().Scopes(p) {
		if err := g.define(ctx, catalog.CreateScope{Project: p.Name, Scope: scope.Name}); err != nil {
			return err
		}
		if err := g.fill(ctx, scope); err != nil {
			return err
		}
	}
	return nil
}

func (g *graft) scope(ctx context.Context, sc *catalog.Scope) error {
	if g.options.Replace {
		if err := g.define(ctx, catalog.DropScope{Project: sc.Project, Scope: sc.Name}); err != nil {
			return err
		}
	} else if err := g.vacant(sc); err != nil {
		return err
	}
	if err := g.define(ctx, catalog.CreateScope{Project: sc.Project, Scope: sc.Name}); err != nil {
		return err
	}
	return g.fill(ctx, sc)
}

// vacant refuses a scope that holds anything in the store.
func (g *graft) vacant(sc *catalog.Scope) error {
	image := g.session.db.pipeline.Heads().Visible()
	there, err := image.Catalog().Scope(sc.Project, sc.Name)
	if err != nil {
		return nil // it is not there
	}
	holds := image.Len(there.ID) > 0
	for range image.Catalog().Tables(there) {
		holds = true
	}
	if holds {
		return errs.New(errs.CodeScopeAlreadyExists, "scope %s of project %s is there and is not empty", sc.Name, sc.Project).On(sc.Name)
	}
	return nil
}

// fill restores what a scope holds.
func (g *graft) fill(ctx context.Context, sc *catalog.Scope) error {
	for table := range g.image.Catalog().Tables(sc) {
		if err := g.table(ctx, table); err != nil {
			return err
		}
	}
	handle := g.session.Scope(sc.Project, sc.Name)
	view := handle.over(g.image)
	for entry, err := range view.KV().Scan(ctx, Range{}) {
		if err != nil {
			return err
		}
		if err := g.write(ctx, handle.KvSet(entry.Key, entry.Value), len(entry.Key)+len(entry.Value)); err != nil {
			return err
		}
		g.report.Keys++
	}
	return g.counters(ctx, sc)
}

// counters restores the sums of the counters of a scope.
func (g *graft) counters(ctx context.Context, sc *catalog.Scope) error {
	handle := g.session.Scope(sc.Project, sc.Name)
	view := handle.over(g.image)
	cursor := g.image.Cursor(sc.ID)
	for cursor.SeekGE([]byte(record.CounterPrefix)); cursor.Valid(); cursor.Next() {
		rest, ok := strings.CutPrefix(string(cursor.Key()), record.CounterPrefix)
		if !ok {
			return nil
		}
		// The head of a counter ends with its name, a shard behind that.
		if len(rest) < 4 || int64(binary.BigEndian.Uint32([]byte(rest))) != int64(len(rest)-4) {
			continue
		}
		name := []byte(rest[4:])
		sum, shards, err := view.KV().Counter(ctx, name)
		if err != nil {
			return err
		}
		if err := g.write(ctx, handle.CounterAdd(name, sum, shards, 0), len(name)); err != nil {
			return err
		}
		g.report.Counters++
	}
	return nil
}

// table makes a table and restores its rows.
func (g *graft) table(ctx context.Context, t *catalog.Table) error {
	if t.Managed {
		return nil
	}
	info := describe(snapshot{Source: g.image, image: g.image}, t)
	statement := catalog.CreateTable{
		Project: t.Project, Scope: t.Scope, Table: t.Name, Columns: info.Columns, PrimaryKey: info.PrimaryKey,
	}
	for _, x := range info.Indexes {
		statement.Indexes = append(statement.Indexes, x.IndexSpec)
	}
	if err := g.define(ctx, statement); err != nil {
		return err
	}
	g.report.Tables++
	handle := g.session.Scope(t.Project, t.Scope)
	view := handle.over(g.image)
	var rows []Row
	size := 0
	insert := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := g.write(ctx, handle.InsertBatch(t.Name, rows), size)
		g.report.Rows += len(rows)
		rows, size = nil, 0
		return err
	}
	for row, err := range view.Rows(ctx, query.Select().From(t.Name), AllowFullScan()) {
		if err != nil {
			return err
		}
		n := sizeOfRow(row, len(t.Indexes))
		if len(rows) > 0 && (len(rows) >= g.limits.BatchRows || size+n > g.limits.TransactionBytes/16) {
			if err := insert(); err != nil {
				return err
			}
		}
		rows, size = append(rows, row), size+n
	}
	return insert()
}

// sizeOfRow is about what a row counts against the size of a commit.
func sizeOfRow(row Row, indexes int) int {
	const overhead = 16
	n := overhead
	for _, v := range row {
		n += overhead + v.Size()
	}
	return n * (1 + indexes)
}

func (g *graft) define(ctx context.Context, statement catalog.Statement) error {
	return g.write(ctx, msgs.Define{Statement: statement}, 1<<10)
}

// write adds a mutation to the next commit, and makes the one before it if that is
// full.
func (g *graft) write(ctx context.Context, m Mutation, size int) error {
	const overhead = 64
	size += overhead
	limit := g.limits.TransactionBytes / 2
	if len(g.batch) > 0 && (g.bytes+size > limit || len(g.batch) == g.limits.Mutations) {
		if g.options.OneCommit {
			return errs.Exceeded("the part as one commit", "max_transaction_bytes / 2", int64(g.bytes+size), int64(limit))
		}
		if err := g.commit(ctx, Visible); err != nil {
			return err
		}
	}
	g.batch, g.bytes = append(g.batch, m), g.bytes+size
	return nil
}

// commit makes the next commit.
func (g *graft) commit(ctx context.Context, finality Finality) error {
	if len(g.batch) == 0 {
		return nil
	}
	result, err := g.session.CommitEnvelope(ctx, Envelope{Mutations: g.batch}, finality)
	if err != nil {
		return err
	}
	if g.report.Commits == 0 {
		g.report.FirstSeq = result.CommitSeq
	}
	g.report.Commits++
	g.report.LastSeq = result.CommitSeq
	g.batch, g.bytes = nil, 0
	return nil
}
