package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/empyrealapp/aedb-go"
)

// metricStats are the operational metrics under their stable names.
type metricStats struct {
	Figures figures
	Stages  []stageStats
}

// figures keep their order, also in JSON.
type figures []figure

type figure struct {
	name  string
	value any // a number, a bool, a time.Duration or a latency
}

// latency is the JSON of a distribution of times, in microseconds.
type latency struct {
	Count uint64 `json:"count"`
	Mean  int64  `json:"mean_us"`
	P50   int64  `json:"p50_us"`
	P99   int64  `json:"p99_us"`
	Max   int64  `json:"max_us"`
}

type stageStats struct {
	Name         string `json:"name"`
	Depth        int    `json:"depth"`
	Capacity     int    `json:"capacity"`
	HighWater    int    `json:"high_water"`
	Blocked      int64  `json:"blocked_us"`
	BlockedSends uint64 `json:"blocked_sends"`
	Messages     uint64 `json:"messages"`
	Batches      uint64 `json:"batches"`
	LargestBatch int    `json:"largest_batch"`
	Busy         int64  `json:"busy_us"`
	Lag          uint64 `json:"lag"`
}

func metricsOf(m aedb.OperationalMetrics) metricStats {
	s := metricStats{Figures: figures{
		{"commits_total", m.CommitsTotal},
		{"commits_applied", m.CommitsApplied},
		{"duplicates_total", m.DuplicatesTotal},
		{"commit_errors", m.CommitErrors},
		{"permission_rejections", m.PermissionRejections},
		{"validation_rejections", m.ValidationRejections},
		{"queue_full_rejections", m.QueueFullRejections},
		{"timeout_rejections", m.TimeoutRejections},
		{"conflict_rejections", m.ConflictRejections},
		{"read_set_conflicts", m.ReadSetConflicts},
		{"assertion_rejections", m.AssertionRejections},
		{"unavailable_rejections", m.UnavailableRejections},
		{"conflict_rate", m.ConflictRate},
		{"commit_latency", latencyOf(m.CommitLatency)},
		{"wal_append_ops", m.WALAppendOps},
		{"wal_append_bytes", m.WALAppendBytes},
		{"wal_append_latency", latencyOf(m.WALAppendLatency)},
		{"wal_sync_ops", m.WALSyncOps},
		{"wal_sync_latency", latencyOf(m.WALSyncLatency)},
		{"image_waits", m.ImageWaits},
		{"image_wait_latency", latencyOf(m.ImageWaitLatency)},
		{"epochs_total", m.EpochsTotal},
		{"epoch_size_mean", m.EpochSizeMean},
		{"epoch_size_max", m.EpochSizeMax},
		{"queue_depth", m.QueueDepth},
		{"inflight_commits", m.InflightCommits},
		{"queued_bytes", m.QueuedBytes},
		{"admission_blocked_ops", m.AdmissionBlockedOps},
		{"admission_blocked_time", m.AdmissionBlockedTime},
		{"visible_head_seq", m.VisibleHeadSeq},
		{"durable_head_seq", m.DurableHeadSeq},
		{"durable_head_lag", m.DurableHeadLag},
		{"startup_recovery_time", m.StartupRecoveryTime},
		{"startup_recovered_seq", m.StartupRecoveredSeq},
		{"active_snapshots", m.ActiveSnapshots},
		{"keyspace_resident_bytes", m.KeyspaceResidentBytes},
		{"keyspace_entries", m.KeyspaceEntries},
		{"last_checkpoint_seq", m.LastCheckpointSeq},
		{"checkpoint_failures", m.CheckpointFailures},
		{"wal_bytes_since_checkpoint", m.WALBytesSinceCheckpoint},
		{"checkpoint_entries_written", m.CheckpointEntriesWritten},
		{"checkpoint_entries_total", m.CheckpointEntriesTotal},
		{"wal_poisoned", m.WALPoisoned},
	}}
	for _, st := range m.Stages {
		s.Stages = append(s.Stages, stageStats{
			Name: st.Name, Depth: st.Depth, Capacity: st.Capacity, HighWater: st.HighWater,
			Blocked: st.Blocked.Microseconds(), BlockedSends: st.BlockedSends, Messages: st.Messages,
			Batches: st.Batches, LargestBatch: st.LargestBatch, Busy: st.Busy.Microseconds(), Lag: st.Lag,
		})
	}
	return s
}

func latencyOf(l aedb.Latency) latency {
	return latency{
		Count: l.Count, Mean: l.Mean.Microseconds(), P50: l.P50.Microseconds(),
		P99: l.P99.Microseconds(), Max: l.Max.Microseconds(),
	}
}

func (l latency) String() string {
	return fmt.Sprintf("%d times, mean %s, p50 %s, p99 %s, max %s", l.Count, micros(l.Mean), micros(l.P50), micros(l.P99), micros(l.Max))
}

// MarshalJSON makes one object of the figures and the stages.
func (m metricStats) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range append(m.Figures, figure{"stages", m.Stages}) {
		v := f.value
		if d, ok := v.(time.Duration); ok {
			v = d.Microseconds()
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", f.name, text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
