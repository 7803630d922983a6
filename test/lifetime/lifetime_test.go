// Package lifetime takes one store through everything that can happen to it, in a
// random order: commits, definitions, checkpoints, backups and restores, readers
// beside it, closes, power losses and changes of its key. Each part has tests of its
// own; these are about where they meet.
//
// The digest of the state at every commit is recorded when it is made. Whatever shows
// that commit later - the store after an opening, a reader, a restore - has to have
// the same.
//
// The seed is printed; AEDB_SEED repeats a run, AEDB_LONG=1 makes many.
package lifetime

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/backup"
	"github.com/empyrealapp/aedb-go/keys"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "store"

func TestEveryPartOfALifetimeShowsTheSameStates(t *testing.T) {
	seed, runs, steps := uint64(1), 12, 80
	switch {
	case os.Getenv("AEDB_LONG") != "":
		runs, steps = 400, 150
	case testing.Short():
		runs, steps = 4, 50
	}
	if s := os.Getenv("AEDB_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	for i := range uint64(runs) {
		t.Run(fmt.Sprintf("AEDB_SEED=%d", seed+i), func(t *testing.T) {
			l := begin(t, seed+i)
			for range steps {
				l.step()
			}
			l.db = l.closed()
			t.Log(l.done)
		})
	}
}

// life is one store.
type life struct {
	*rand.Rand
	t    *testing.T
	ctx  context.Context
	disk *vfs.Mem
	db   *aedb.DB
	// keyed and encrypted say how the store is protected, and turn how often its key
	// has changed.
	keyed, encrypted bool
	turn             int
	digests          map[uint64][32]byte // of each commit
	set              *backup.Memory
	last             *backup.Manifest // that the next incremental backup follows
	backups          []uint64         // the commits that they reach to, in order
	log              []string
	done             map[string]int
}

func begin(t *testing.T, seed uint64) *life {
	l := &life{
		Rand: rand.New(rand.NewPCG(seed, 3)), t: t, ctx: context.Background(), disk: vfs.NewMem(),
		keyed: seed%3 > 0, encrypted: seed%3 == 2, digests: map[uint64][32]byte{}, set: &backup.Memory{}, done: map[string]int{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.log)
			if l.db != nil {
				_ = l.db.Close(l.ctx)
			}
		}
	})
	l.open()
	_, err := l.db.NoAuth().CreateProject(l.ctx, "p")
	require.NoError(t, err)
	l.record()
	return l
}

func (l *life) config() aedb.Config {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger = l.disk, aedb.Zerolog(zerolog.Nop())
	cfg.SegmentBytes = 2 << 10
	cfg.Checkpoint.OnClose, cfg.Checkpoint.Kept = l.IntN(2) == 0, 1+l.IntN(3)
	cfg.FollowInterval = 0
	cfg.DiskReserve = 0
	if l.keyed {
		cfg.Keys.Encrypt = l.encrypted
		for i := l.turn; i >= 0; i-- {
			cfg.Keys.Ring = append(cfg.Keys.Ring, aedb.Key{ID: fmt.Sprint("key-", i), Secret: bytes.Repeat([]byte{byte(i + 1)}, 32)})
		}
	}
	return cfg
}

// ring has the keys as the backups want them; nil without any.
func (l *life) ring() *keys.Ring {
	r, err := keys.NewRing(l.config().Keys.Ring...)
	require.NoError(l.t, err)
	return r
}

func (l *life) open() {
	var err error
	l.db, err = aedb.OpenNoAuth(dir, l.config())
	require.NoError(l.t, err)
}

func (l *life) closed() *aedb.DB {
	require.NoError(l.t, l.db.Close(l.ctx))
	return nil
}

// record notes the digest of the newest commit.
func (l *life) record() {
	seq, digest, err := l.db.Digest(aedb.AtLatest)
	require.NoError(l.t, err)
	l.digests[seq] = digest
}

// same holds what is shown of a commit to what was recorded.
func (l *life) same(what string, seq uint64, digest [32]byte) {
	l.t.Helper()
	want, known := l.digests[seq]
	require.True(l.t, known || seq == 0, "%s shows commit %d", what, seq)
	require.Equal(l.t, want, digest, "%s at commit %d", what, seq)
}

func (l *life) step() {
	steps := []struct {
		name   string
		weight int
		do     func()
	}{
		{"commits", 12, l.commits}, {"definition", 2, l.definition}, {"checkpoint", 3, l.checkpoint},
		{"full backup", 1, l.fullBackup}, {"incremental backup", 4, l.incrementalBackup}, {"restore", 2, l.restore},
		{"reader", 3, l.reader}, {"verification", 1, l.verify}, {"close", 3, l.reopen}, {"power loss", 3, l.powerLoss},
		{"key change", 1, l.changeKey},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := l.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			l.log = append(l.log, s.name)
			l.done[s.name]++
			s.do()
			return
		}
	}
}

func (l *life) app() *aedb.Scope { return l.db.NoAuth().Scope("p", "app") }

func (l *life) commits() {
	for range 1 + l.IntN(8) {
		app := l.app()
		var list []aedb.Mutation
		for range 1 + l.IntN(4) {
			key := fmt.Appendf(nil, "key-%d", l.IntN(60))
			value := bytes.Repeat([]byte{byte(l.Uint32())}, l.IntN(300))
			if l.IntN(4) == 0 {
				list = append(list, app.KvSetMany(aedb.KvPair{Key: key, Value: value}, aedb.KvPair{Key: append(key, 'x')}))
				continue
			}
			list = append(list, app.KvSet(key, value))
			if l.IntN(4) == 0 {
				list = append(list, app.KvDel(key))
			}
		}
		if _, err := app.Describe("t"); err == nil {
			list = append(list, app.Upsert("t", aedb.Row{aedb.Int(l.Int64N(20)), aedb.Int(l.Int64N(1000))}), app.Delete("t", aedb.Int(l.Int64N(20))))
		}
		env := aedb.Envelope{Mutations: list}
		if l.IntN(3) == 0 {
			key := aedb.NewIdempotencyKey()
			env.IdempotencyKey = &key
		}
		_, err := app.CommitEnvelope(l.ctx, env, aedb.Durable)
		require.NoError(l.t, err)
		l.record()
	}
}

func (l *life) definition() {
	app := l.app()
	m := app.DropTable("t")
	if _, err := app.Describe("t"); err != nil {
		m = app.CreateTable("t", aedb.TableSpec{
			Columns:    []aedb.ColumnSpec{aedb.Column("id", aedb.TypeInteger), aedb.Column("n", aedb.TypeInteger)},
			PrimaryKey: []string{"id"}, Indexes: []aedb.IndexSpec{{Name: "by_n", Columns: []string{"n"}}},
		})
	}
	_, err := app.Commit(l.ctx, m)
	require.NoError(l.t, err)
	l.record()
}

func (l *life) checkpoint() {
	_, err := l.db.Checkpoint(l.ctx)
	require.NoError(l.t, err)
}

func (l *life) options() aedb.BackupOptions {
	o := aedb.BackupOptions{KeepLog: 1 << 20}
	o.Keys, o.Seal = l.ring(), l.encrypted
	return o
}

func (l *life) fullBackup() {
	m, err := l.db.BackupFull(l.ctx, l.set, l.options())
	require.NoError(l.t, err)
	l.last, l.backups = &m, append(l.backups, m.Seq)
}

func (l *life) incrementalBackup() {
	if l.last == nil {
		l.fullBackup()
		return
	}
	m, err := l.db.BackupIncremental(l.ctx, l.set, *l.last, l.options())
	if aedb.CodeOf(err) == "seq_garbage_collected" {
		// A pin is in the manifest from the next checkpoint or close on; a crash before
		// that may have let go of the log.
		l.done["incremental backup too late"]++
		l.fullBackup()
		return
	}
	require.NoError(l.t, err)
	l.last, l.backups = &m, append(l.backups, m.Seq)
}

// restore brings back a commit that the chain of the last backup reaches.
func (l *life) restore() {
	if l.last == nil {
		return
	}
	chain, err := backup.LoadChain(l.ctx, l.set, l.last.ID, backup.Options{Keys: l.ring()})
	require.NoError(l.t, err)
	base, head := chain.Base().Seq, chain.Head().Seq
	seq := base + l.Uint64N(head-base+1)
	disk := vfs.NewMem()
	cfg := l.config()
	o := aedb.RestoreOptions{FS: disk, Target: backup.Target{Backup: l.last.ID, Seq: &seq}, StoreKeys: cfg.Keys}
	o.Keys = l.ring()
	report, err := aedb.Restore(l.ctx, l.set, dir, o)
	require.NoError(l.t, err)
	l.same("a restore", report.Seq, report.Digest)

	cfg.FS = disk
	db, err := aedb.OpenNoAuth(dir, cfg)
	require.NoError(l.t, err)
	_, err = db.NoAuth().CreateProject(l.ctx, "after")
	require.NoError(l.t, err)
	found, err := db.CheckInvariants(aedb.AtLatest)
	require.NoError(l.t, err)
	require.Empty(l.t, found)
	require.NoError(l.t, db.Close(l.ctx))
}

func (l *life) reader() {
	r, err := aedb.OpenReader(l.ctx, dir, l.config())
	require.NoError(l.t, err)
	seq, digest, err := r.Digest(aedb.AtLatest)
	require.NoError(l.t, err)
	l.same("a reader", seq, digest)
	require.Equal(l.t, l.db.Heads().VisibleSeq, seq)
	l.commits()
	if l.IntN(2) == 0 {
		l.checkpoint()
		l.commits()
	}
	_, err = r.Refresh(l.ctx)
	require.NoError(l.t, err)
	seq, digest, err = r.Digest(aedb.AtLatest)
	require.NoError(l.t, err)
	require.Equal(l.t, l.db.Heads().VisibleSeq, seq)
	l.same("a reader that has followed", seq, digest)
	require.NoError(l.t, r.Close())
}

func (l *life) verify() {
	report, err := aedb.Verify(l.ctx, dir, l.config())
	require.NoError(l.t, err)
	require.True(l.t, report.OK, "%+v", report)
	digest, err := hex.DecodeString(report.Digest)
	require.NoError(l.t, err)
	l.same("a verification", report.Seq, [32]byte(digest))
}

func (l *life) reopen() {
	l.db = l.closed()
	l.verify()
	l.open()
	seq, digest, err := l.db.Digest(aedb.AtLatest)
	require.NoError(l.t, err)
	l.same("the store", seq, digest)
	require.Len(l.t, l.digests, int(seq), "no commit is lost by a close")
}

func (l *life) powerLoss() {
	head := l.db.Heads().VisibleSeq
	fates := []vfs.Fate{vfs.AllLost(), vfs.AllKept(), vfs.RandomBlocks(l.Uint64(), 50), vfs.MixedSectors(l.Uint64(), 50), vfs.TornLastWrite(l.Uint64())}
	disk := l.disk.Crash(fates[l.IntN(len(fates))])
	_ = l.db.Close(l.ctx) // the disk is gone
	l.disk = disk
	l.open()
	seq, digest, err := l.db.Digest(aedb.AtLatest)
	require.NoError(l.t, err)
	require.Equal(l.t, head, seq, "every commit was durable")
	l.same("the store", seq, digest)
}

func (l *life) changeKey() {
	if !l.keyed {
		return
	}
	l.turn++
	l.reopen()
	require.True(l.t, slices.ContainsFunc(l.db.Recovery().KeysInUse, func(u aedb.KeyUse) bool { return true }))
}
