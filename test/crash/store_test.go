// Package crash loses power at every file system operation of a long script,
// fails every call once, fills the disk, and damages the files, and checks after
// each what the engine promises: it opens strictly, everything acknowledged as
// durable is there, and the state is that after some commit of the history, byte
// for byte.
//
// The script has one caller and a clock that stands still within each step, so
// that commit n always leads to the same state; a model run records its digest.
// Every recovery is compared with that record.
//
// AEDB_LONG=1 visits every operation and every fate, AEDB_SEED changes the
// random choices. What fails prints the mode, the operation and the fate, which
// together repeat it.
package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir is where stores live within their file system.
const dir = "store"

// patience is how long one life of a store may take before it counts as hung.
const patience = 60 * time.Second

// baseSeed is what all random choices hang on.
func baseSeed(t testing.TB) uint64 {
	seed := uint64(1)
	if s := os.Getenv("AEDB_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("AEDB_SEED is no number: %v", err)
		}
		seed = n
	}
	t.Logf("AEDB_SEED=%d", seed)
	return seed
}

// sized returns the figure for the form of the tests that is being run.
func sized(long, ci, short int64) int64 {
	switch {
	case os.Getenv("AEDB_LONG") != "":
		return long
	case testing.Short():
		return short
	}
	return ci
}

// stride returns the distance of the points that a sweep visits: in the long form
// it visits all.
func stride(ci, short int64) int64 { return sized(1, ci, short) }

// promise is what callers were told: the newest commits that they know to be
// durable, and to be visible.
type promise struct{ durable, visible uint64 }

func (p promise) String() string {
	return fmt.Sprintf("promised durable=%d visible=%d", p.durable, p.visible)
}

// store is a store from the outside: a disk, a clock, and the process that has
// it open at the moment.
type store struct {
	fs    *vfs.Mem
	clock *vfs.ManualClock
	cfg   aedb.Config
	// logOnly makes the script's checkpoints no-ops.
	logOnly bool
	// between changes the configuration between two lives of the script; restarts
	// counts them.
	between  func(cfg *aedb.Config, restarts int)
	restarts int

	db       *aedb.DB // nil while it is not open
	promised promise
}

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// newStore returns a store on a disk, not yet open. Segments are small, so that
// the script rotates often, and checkpoints are those that it asks for.
func newStore(fsys *vfs.Mem, mode aedb.Durability) *store {
	s := &store{fs: fsys, clock: vfs.NewManualClock(epoch, 0), cfg: aedb.DefaultConfig()}
	s.cfg.FS, s.cfg.Clock, s.cfg.Logger = fsys, s.clock, aedb.Zerolog(zerolog.Nop())
	s.cfg.Durability, s.cfg.BatchInterval, s.cfg.BatchBytes = mode, time.Millisecond, 2<<10
	s.cfg.SegmentBytes = 8 << 10
	s.cfg.Checkpoint = aedb.CheckpointConfig{OnClose: true, Kept: 2}
	s.cfg.RecoveryParallelism = 2
	s.cfg.DiskReserve = 0 // what a disk does that is really full is a subject of the tests
	return s
}

// authenticated and encrypted give a store keys.
func authenticated(s *store) {
	s.cfg.Keys = aedb.KeyConfig{Ring: ringOf("k1")}
}

// ringOf returns keys of these names, the one that signs first.
func ringOf(ids ...string) []aedb.Key {
	var ring []aedb.Key
	for _, id := range ids {
		ring = append(ring, aedb.Key{ID: id, Secret: []byte("a secret of at least 32 bytes, that of " + id)})
	}
	return ring
}

func encrypted(s *store) {
	authenticated(s)
	s.cfg.Keys.Encrypt = true
}

// adopted signs a store that was made without keys, and then puts a new key in
// front of the first.
func adopted(s *store) {
	s.between = func(cfg *aedb.Config, restarts int) {
		switch restarts {
		case 1:
			cfg.Keys = aedb.KeyConfig{Ring: ringOf("k1"), Adopt: true}
		case 2:
			cfg.Keys = aedb.KeyConfig{Ring: ringOf("k2", "k1")}
		}
	}
}

// rotated begins encrypted under one key, and puts a new one in front at every
// restart.
func rotated(s *store) {
	s.cfg.Keys = aedb.KeyConfig{Ring: ringOf("k1"), Encrypt: true}
	s.between = func(cfg *aedb.Config, restarts int) {
		cfg.Keys.Ring = append(ringOf(fmt.Sprintf("k%d", restarts+1)), cfg.Keys.Ring...)
	}
}

// open starts a process.
func (s *store) open(ctx context.Context) error {
	db, err := aedb.OpenNoAuthContext(ctx, dir, s.cfg)
	if err != nil {
		return err
	}
	s.db = db
	return nil
}

// close ends the process, also if it fails.
func (s *store) close(ctx context.Context) error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close(ctx)
	s.note()
	s.db = nil
	return err
}

// note takes what the heads say as a promise.
func (s *store) note() {
	if s.db == nil {
		return
	}
	h := s.db.Heads()
	s.promised.durable = max(s.promised.durable, h.DurableSeq)
	s.promised.visible = max(s.promised.visible, h.VisibleSeq)
}

func (s *store) scope(project, scope string) *aedb.Scope {
	return s.db.NoAuth().Scope(project, scope)
}

// digest returns the seq and the digest of what readers see.
func (s *store) digest() (uint64, [32]byte, error) { return s.db.Digest(aedb.AtLatest) }

// live calls f with a context that ends when patience does, and makes that an
// error of its own: nothing may hang.
func live(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := f(ctx)
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("hung for %v", patience), err)
	}
	return err
}

// unclear reports an error that a caller could not act upon: one that is not the
// engine's, or that only says that the wait has ended.
func unclear(err error) error {
	var e *aedb.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Errorf("this is no *aedb.Error: %w", err)
	case e.Code == "" || e.Code == aedb.CodeOf(aedb.ErrInternal):
		return fmt.Errorf("the code %q tells nothing: %w", e.Code, err)
	}
	return nil
}

// modes are the durability modes.
var modes = []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered}
