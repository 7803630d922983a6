package aedb_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

// knob is a leaf of a Config.
type knob struct {
	value   reflect.Value
	tunable bool
}

// knobs adds the leaves of a struct by their path.
func knobs(all map[string]knob, v reflect.Value, path string, tunable bool) {
	for i := range v.NumField() {
		f, name := v.Type().Field(i), path+v.Type().Field(i).Name
		switch {
		case f.Anonymous:
			knobs(all, v.Field(i), path, true)
		case f.Type.Kind() == reflect.Struct:
			knobs(all, v.Field(i), name+".", tunable)
		default:
			all[name] = knob{v.Field(i), tunable}
		}
	}
}

// spelled returns a default as the table writes it.
func spelled(t *testing.T, v reflect.Value, unit string) string {
	switch x := v.Interface().(type) {
	case aedb.Durability:
		require.Equal(t, aedb.Full, x)
		return "Full"
	case aedb.RecoveryMode:
		require.Equal(t, aedb.Strict, x)
		return "Strict"
	case aedb.OnFull:
		require.Equal(t, aedb.Wait, x)
		return "Wait"
	case time.Duration:
		for _, u := range []struct {
			size time.Duration
			name string
		}{{time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
			if x%u.size == 0 {
				return fmt.Sprintf("%d %s", x/u.size, u.name)
			}
		}
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	}
	switch {
	case v.Kind() == reflect.Func || v.Kind() == reflect.Interface || v.Kind() == reflect.Slice:
		require.True(t, v.IsNil())
		return "none"
	case v.CanInt() && unit == "bytes" && v.Int()%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", v.Int()>>20)
	case v.CanInt() && unit == "bytes" && v.Int()%(1<<10) == 0 && v.Int() > 1<<10:
		return fmt.Sprintf("%d KiB", v.Int()>>10)
	}
	digits := fmt.Sprint(v.Interface())
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// TestEveryKnobIsInTheTableWithItsDefault keeps docs/configuration.md in step.
func TestEveryKnobIsInTheTableWithItsDefault(t *testing.T) {
	page, err := os.ReadFile("docs/configuration.md")
	require.NoError(t, err)
	all := map[string]knob{}
	cfg := aedb.DefaultConfig()
	require.Equal(t, runtime.GOMAXPROCS(0), cfg.RecoveryParallelism)
	knobs(all, reflect.ValueOf(cfg), "", false)
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| ([^|]+) \\| ([^|]*) ?\\| ([^|]*) ?\\| ([^|]+) \\| (yes|no) \\|$").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		name, unit := row[1], strings.TrimSpace(row[3])
		k, ok := all[name]
		require.True(t, ok, "no knob %s, or two rows", name)
		delete(all, name)
		if name != "RecoveryParallelism" {
			require.Equal(t, spelled(t, k.value, unit), row[2], name)
		}
		require.Equal(t, k.tunable, row[6] == "yes", "%s at run time", name)
	}
	for name := range all {
		t.Errorf("knob %s has no row", name)
	}
}

func TestProfilesAreValidAndSayWhatTheyAreFor(t *testing.T) {
	for name, c := range map[string]struct {
		cfg        aedb.Config
		durability aedb.Durability
		recovery   aedb.RecoveryMode
	}{
		"default":     {aedb.DefaultConfig(), aedb.Full, aedb.Strict},
		"production":  {aedb.ProductionConfig(), aedb.Full, aedb.Strict},
		"low latency": {aedb.LowLatencyConfig(), aedb.Batch, aedb.Strict},
		"development": {aedb.DevelopmentConfig(), aedb.OsBuffered, aedb.Permissive},
	} {
		require.NoError(t, c.cfg.Validate(), name)
		require.Equal(t, c.durability, c.cfg.Durability, name)
		require.Equal(t, c.recovery, c.cfg.Recovery, name)
	}
	// What a developer has opened is not for production.
	disk := vfs.NewMem()
	cfg := aedb.DevelopmentConfig()
	cfg.FS, cfg.Logger = disk, followed().Logger
	db, _ := openWith(t, cfg)
	require.NoError(t, db.Close(t.Context()))
	cfg = aedb.ProductionConfig()
	cfg.FS = disk
	_, err := aedb.OpenNoAuth("store", cfg)
	require.Error(t, err)
}

func TestTuneChangesLimitsForRequestsAndForTheApplier(t *testing.T) {
	db, app := openWith(t, followed())
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	ctx := t.Context()
	large := app.KvSet([]byte("k"), make([]byte, 2<<20))
	_, err := app.Commit(ctx, large)
	require.ErrorIs(t, err, aedb.ErrLimitExceeded)
	require.NoError(t, db.Tune(func(t *aedb.Tuning) {
		t.Limits.KVValueBytes = 4 << 20
		t.Reads.MaxScanRows, t.Reads.MaxSnapshots = 3, 1
	}))
	_, err = app.Commit(ctx, large)
	require.NoError(t, err)

	// Selections are bounded where they are carried out.
	commit(t, app, app.CreateTable("jobs", jobs), app.InsertBatch("jobs", []aedb.Row{job(1), job(2), job(3), job(4)}))
	_, err = app.Commit(ctx, aedb.Check(app.CountCompare("jobs", query.Expr{}, aedb.Eq, 4)))
	require.ErrorIs(t, err, aedb.ErrLimitExceeded)
	require.NoError(t, db.Tune(func(t *aedb.Tuning) { t.Reads.MaxScanRows = 4 }))
	_, err = app.Commit(ctx, aedb.Check(app.CountCompare("jobs", query.Expr{}, aedb.Eq, 4)))
	require.NoError(t, err)

	read, err := app.Session().BeginRead(ctx, aedb.AtLatest)
	require.NoError(t, err)
	defer read.Close()
	_, err = app.Session().BeginRead(ctx, aedb.AtLatest)
	require.ErrorIs(t, err, aedb.ErrSnapshotLimit)
}

func TestTuneIsAllOrNothing(t *testing.T) {
	db, _ := openWith(t, followed())
	before := db.Config().Tuning
	err := db.Tune(func(t *aedb.Tuning) {
		t.UpdateRetries = 7
		t.Reads.MaxSnapshots, t.Limits.TransactionBytes = 0, 1<<40
	})
	require.ErrorIs(t, err, aedb.ErrInvalidConfig)
	require.ErrorContains(t, err, "Reads.MaxSnapshots")
	require.ErrorContains(t, err, "Limits.TransactionBytes")
	require.Equal(t, before, db.Config().Tuning)
	require.NoError(t, db.Tune(func(t *aedb.Tuning) { t.UpdateRetries = 7 }))
	require.Equal(t, 7, db.Config().UpdateRetries)
	require.NoError(t, db.Close(t.Context()))
	require.ErrorIs(t, db.Tune(func(*aedb.Tuning) {}), aedb.ErrUnavailable)
}

func TestTuneChangesHowLongKeysAndHistoryAreKept(t *testing.T) {
	cfg := followed()
	cfg.Reads.HistoryCommits = 1000
	db, app := openWith(t, cfg)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	ctx, key := t.Context(), aedb.NewIdempotencyKey()
	once := func() aedb.Result {
		r, err := app.CommitOnce(ctx, key, envelope(app.KvSet([]byte("k"), nil)), aedb.Visible)
		require.NoError(t, err)
		return r
	}
	first := once()
	for range 20 {
		commit(t, app, app.KvSet([]byte("other"), nil))
	}
	require.Equal(t, aedb.Duplicate, once().Outcome)
	old := aedb.At(aedb.AtSeq(first.CommitSeq))
	_, _, err := app.KV().Get(ctx, []byte("k"), old)
	require.NoError(t, err)

	require.NoError(t, db.Tune(func(t *aedb.Tuning) { t.IdempotencyCommits, t.Reads.HistoryCommits = 10, 10 }))
	require.Equal(t, aedb.Applied, once().Outcome, "it is forgotten")
	_, _, err = app.KV().Get(ctx, []byte("k"), old)
	require.ErrorIs(t, err, aedb.ErrSeqGarbageCollected)
}

func TestTuneWakesTheCheckpointer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := followed()
		cfg.FS, cfg.Checkpoint.Interval = vfs.NewMem(), 0
		db, app := openWith(t, cfg)
		commit(t, app, app.KvSet([]byte("k"), nil))
		time.Sleep(time.Hour)
		require.Zero(t, db.OperationalMetrics().LastCheckpointSeq)
		require.NoError(t, db.Tune(func(t *aedb.Tuning) { t.Checkpoint.Interval = time.Minute }))
		time.Sleep(2 * time.Minute)
		require.Equal(t, db.Heads().VisibleSeq, db.OperationalMetrics().LastCheckpointSeq)
		require.NoError(t, db.Close(context.Background()))
	})
}

func TestTuneAndPreflightGoOnBesideCommits(t *testing.T) {
	db, app := openWith(t, followed())
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	commit(t, app, app.CreateTable("jobs", jobs), app.InsertBatch("jobs", []aedb.Row{job(0), job(1), job(2), job(3)}))
	ctx := t.Context()
	const callers, commits = 4, 100
	require.Equal(t, callers, together(callers, func(i int) error {
		for n := range commits {
			if err := db.Tune(func(t *aedb.Tuning) { t.Limits.BatchRows, t.Checkpoint.WALBytes = 1+n, 1<<20+int64(n) }); err != nil {
				return err
			}
			env := envelope(
				app.KvAddU64([]byte("n"), 1, aedb.TreatAsZero, aedb.RejectLimit),
				app.UpdateWhere("jobs", query.Eq("id", i), query.Assign("tries", query.Lit(n))),
			)
			plan, err := app.Plan(ctx, env)
			if err != nil {
				return err
			}
			if _, err := app.CommitEnvelope(ctx, plan.Envelope, aedb.Visible); err != nil {
				return err
			}
		}
		return nil
	}))
	require.EqualValues(t, callers*commits, u64At(t, app, "n"))
}
