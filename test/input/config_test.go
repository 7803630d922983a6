package input

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// TestInvalidConfigNamesEveryBrokenKnob breaks each knob by itself, and then all
// together.
func TestInvalidConfigNamesEveryBrokenKnob(t *testing.T) {
	knobs := map[string]func(*aedb.Config){
		"Durability":               func(c *aedb.Config) { c.Durability = 3 },
		"BatchInterval":            func(c *aedb.Config) { c.Durability, c.BatchInterval = aedb.Batch, 0 },
		"BatchBytes":               func(c *aedb.Config) { c.Durability, c.BatchBytes = aedb.Batch, -1 },
		"Recovery":                 func(c *aedb.Config) { c.Recovery = 2 },
		"RecoveryParallelism":      func(c *aedb.Config) { c.RecoveryParallelism = 0 },
		"Keys.Ring":                func(c *aedb.Config) { c.Keys.Ring = []aedb.Key{{ID: "k", Secret: []byte("short")}} },
		"Keys.Encrypt":             func(c *aedb.Config) { c.Keys.Encrypt = true },
		"Keys.Adopt":               func(c *aedb.Config) { c.Keys.Adopt = true },
		"Pipeline.OnFull":          func(c *aedb.Config) { c.Pipeline.OnFull = 2 },
		"Pipeline.SequencerQueue":  func(c *aedb.Config) { c.Pipeline.SequencerQueue = 0 },
		"Pipeline.QueueBytes":      func(c *aedb.Config) { c.Pipeline.QueueBytes = 0 },
		"Pipeline.ApplierQueue":    func(c *aedb.Config) { c.Pipeline.ApplierQueue = -1 },
		"Pipeline.WriterQueue":     func(c *aedb.Config) { c.Pipeline.WriterQueue = 0 },
		"Pipeline.FsyncerQueue":    func(c *aedb.Config) { c.Pipeline.FsyncerQueue = 0 },
		"Pipeline.PublisherQueue":  func(c *aedb.Config) { c.Pipeline.PublisherQueue = 0 },
		"Pipeline.EpochCommits":    func(c *aedb.Config) { c.Pipeline.EpochCommits = 0 },
		"Pipeline.EpochBytes":      func(c *aedb.Config) { c.Pipeline.EpochBytes = 0 },
		"Locks.Locks":              func(c *aedb.Config) { c.Locks.Locks = 0 },
		"Locks.WaitersPerKey":      func(c *aedb.Config) { c.Locks.WaitersPerKey = -1 },
		"Locks.Wait":               func(c *aedb.Config) { c.Locks.Wait = 0 },
		"Limits.ReadBytes":         func(c *aedb.Config) { c.Limits.ReadBytes = 0 },
		"Limits.Mutations":         func(c *aedb.Config) { c.Limits.Mutations = 0 },
		"Limits.Assertions":        func(c *aedb.Config) { c.Limits.Assertions = 0 },
		"Limits.TransactionBytes":  func(c *aedb.Config) { c.Limits.TransactionBytes = 1 << 40 },
		"Limits.BatchRows":         func(c *aedb.Config) { c.Limits.BatchRows = 0 },
		"Limits.KVKeyBytes":        func(c *aedb.Config) { c.Limits.KVKeyBytes = 1 << 20 },
		"Limits.KVValueBytes":      func(c *aedb.Config) { c.Limits.KVValueBytes = 0 },
		"Limits.TableValueBytes":   func(c *aedb.Config) { c.Limits.TableValueBytes = 1 << 30 },
		"Limits.PrimaryKeyBytes":   func(c *aedb.Config) { c.Limits.PrimaryKeyBytes = 1 << 20 },
		"Limits.EventPayloadBytes": func(c *aedb.Config) { c.Limits.EventPayloadBytes = -5 },
		"Checkpoint.WALBytes":      func(c *aedb.Config) { c.Checkpoint.WALBytes = -1 },
		"Checkpoint.Interval":      func(c *aedb.Config) { c.Checkpoint.Interval = -1 },
		"Checkpoint.Kept":          func(c *aedb.Config) { c.Checkpoint.Kept = 0 },
		"Reads.MaxScanRows":        func(c *aedb.Config) { c.Reads.MaxScanRows = 0 },
		"Reads.MaxQueryBytes":      func(c *aedb.Config) { c.Reads.MaxQueryBytes = 0 },
		"Reads.MaxSnapshots":       func(c *aedb.Config) { c.Reads.MaxSnapshots = 0 },
		"Reads.SnapshotAge":        func(c *aedb.Config) { c.Reads.SnapshotAge = 0 },
		"Reads.HistoryCommits":     func(c *aedb.Config) { c.Reads.HistoryCommits = 0 },
		"Reads.HistoryBytes":       func(c *aedb.Config) { c.Reads.HistoryBytes = 0 },
		"IdempotencyAge":           func(c *aedb.Config) { c.IdempotencyAge = -1 },
		"SegmentBytes":             func(c *aedb.Config) { c.SegmentBytes = 0 },
		"SegmentAge":               func(c *aedb.Config) { c.SegmentAge = 999 * time.Millisecond },
		"DiskReserve":              func(c *aedb.Config) { c.DiskReserve = -1 },
		"FollowInterval":           func(c *aedb.Config) { c.FollowInterval = -1 },
		"UpdateRetries":            func(c *aedb.Config) { c.UpdateRetries = -1 },
	}
	fsys := vfs.NewMem()
	worst := config(fsys)
	for knob, spoil := range knobs {
		cfg := config(fsys)
		spoil(&cfg)
		spoil(&worst)
		_, err := aedb.OpenNoAuth(dir, cfg)
		refused(t, err, aedb.ErrInvalidConfig)
		require.Contains(t, err.Error(), knob)
	}
	worst.Durability = aedb.Batch // the knobs of a mode count in that mode only
	_, err := aedb.OpenNoAuth(dir, worst)
	refused(t, err, aedb.ErrInvalidConfig)
	for knob := range knobs {
		require.True(t, knob == "Durability" || strings.Contains(err.Error(), knob), knob)
	}
	_, err = aedb.OpenNoAuth(dir, aedb.Config{FS: fsys})
	refused(t, err, aedb.ErrInvalidConfig)
	require.Empty(t, fsys.Names(), "nothing was touched")

	// A knob that is added must be broken here too, or be one that cannot be.
	free := []string{"OnRecovery", "Checkpoint.OnClose", "Keys.ExpectSeq", "IdempotencyCommits", "Logger", "FS", "Clock"}
	for _, name := range fields(reflect.TypeFor[aedb.Config](), "") {
		_, known := knobs[name]
		require.True(t, known || strings.Contains(strings.Join(free, " "), name), "knob %s", name)
	}
}

func fields(of reflect.Type, prefix string) (out []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		switch {
		case f.Anonymous:
			out = append(out, fields(f.Type, prefix)...)
		case f.Type.Kind() == reflect.Struct && (strings.HasSuffix(f.Type.Name(), "Config") || f.Type.Name() == "Limits"):
			out = append(out, fields(f.Type, f.Name+".")...)
		default:
			out = append(out, prefix+f.Name)
		}
	}
	return out
}
