package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/recovery"
)

func newStats() *cobra.Command {
	var store storeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Tell how a store is: heads, recovery, tables, metrics",
		Long: `stats opens the store, as a program would, and tells what the opening found and
what it cost. aedb health, tables and verify look at a store without opening it.`,
		Args: cobra.NoArgs,
		RunE: operation(func(cmd *cobra.Command, _ []string) error {
			return store.existing(cmd, func(_ context.Context, db *aedb.DB) error {
				s, err := gatherStats(db)
				if err != nil {
					return err
				}
				if asJSON {
					out := json.NewEncoder(cmd.OutOrStdout())
					out.SetIndent("", "  ")
					return out.Encode(s)
				}
				out := bufio.NewWriter(cmd.OutOrStdout())
				s.print(out)
				return out.Flush()
			})
		}),
	}
	store.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// stats is the answer of the verb; its JSON is for programs. Times are in
// microseconds.
type stats struct {
	Dir      string        `json:"dir"`
	Heads    headStats     `json:"heads"`
	Recovery recoveryStats `json:"recovery"`
	Scopes   []scopeStats  `json:"scopes"`
	Metrics  metricStats   `json:"operational_metrics"`
}

type headStats struct {
	Visible uint64 `json:"visible_seq"`
	Durable uint64 `json:"durable_seq"`
}

type recoveryStats struct {
	Mode             string           `json:"mode"`
	Incarnation      string           `json:"incarnation"`
	Generation       uint64           `json:"manifest_generation"`
	Checkpoint       string           `json:"checkpoint,omitempty"`
	CheckpointSeq    uint64           `json:"checkpoint_seq"`
	Segments         int              `json:"segments"`
	SegmentsReplayed int              `json:"segments_replayed"`
	SegmentsSkipped  int              `json:"segments_skipped"`
	Frames           int              `json:"frames_replayed"`
	Commits          int              `json:"commits_replayed"`
	Bytes            int64            `json:"bytes_replayed"`
	Seq              uint64           `json:"seq"`
	Rejected         []string         `json:"rejected_files"`
	Torn             *tornStats       `json:"torn,omitempty"`
	Dropped          *droppedStats    `json:"dropped,omitempty"`
	Warnings         []string         `json:"warnings"`
	Phases           map[string]int64 `json:"phases_us"`
}

type tornStats struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
}

type droppedStats struct {
	Reason  string   `json:"reason"`
	FromSeq uint64   `json:"from_seq"`
	Files   []string `json:"files"`
	Bytes   int64    `json:"bytes"`
}

type scopeStats struct {
	Project string       `json:"project"`
	Scope   string       `json:"scope"`
	Keys    int          `json:"kv_keys"`
	Tables  []tableStats `json:"tables"`
}

type tableStats struct {
	Name       string        `json:"name"`
	Rows       int           `json:"rows"`
	PrimaryKey []string      `json:"primary_key"`
	Columns    []columnStats `json:"columns"`
	Indexes    []indexStats  `json:"indexes"`
}

type columnStats struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
}

type indexStats struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Unique  bool     `json:"unique"`
	Entries int      `json:"entries"`
}

func gatherStats(db *aedb.DB) (stats, error) {
	heads := db.Heads()
	s := stats{
		Dir: db.Dir(), Heads: headStats{Visible: heads.VisibleSeq, Durable: heads.DurableSeq},
		Recovery: recoveryOf(db.Recovery()), Scopes: []scopeStats{}, Metrics: metricsOf(db.OperationalMetrics()),
	}
	session := db.NoAuth()
	projects, err := session.Projects()
	if err != nil {
		return s, err
	}
	for _, p := range projects {
		scopes, err := session.Scopes(p.Name)
		if err != nil {
			return s, err
		}
		for _, sc := range scopes {
			tables, err := session.Scope(p.Name, sc.Name).Tables()
			if err != nil {
				return s, err
			}
			of := scopeStats{Project: p.Name, Scope: sc.Name, Keys: sc.Keys, Tables: []tableStats{}}
			for _, t := range tables {
				of.Tables = append(of.Tables, tableOf(t))
			}
			s.Scopes = append(s.Scopes, of)
		}
	}
	return s, nil
}

func tableOf(t aedb.TableInfo) tableStats {
	s := tableStats{Name: t.Name, Rows: t.Rows, PrimaryKey: t.PrimaryKey, Indexes: []indexStats{}}
	for _, c := range t.Columns {
		s.Columns = append(s.Columns, columnStats{Name: c.Name, Type: c.Kind.String(), Nullable: c.Nullable})
	}
	for _, x := range t.Indexes {
		s.Indexes = append(s.Indexes, indexStats{Name: x.Name, Columns: x.Columns, Unique: x.Unique, Entries: x.Entries})
	}
	return s
}

func recoveryOf(r aedb.RecoveryReport) recoveryStats {
	s := recoveryStats{
		Mode: r.Mode.String(), Incarnation: r.Incarnation.String(), Generation: r.Generation,
		Checkpoint: r.CheckpointFile, CheckpointSeq: r.CheckpointSeq,
		Segments: r.Segments, SegmentsReplayed: r.SegmentsReplayed, SegmentsSkipped: r.SegmentsSkipped,
		Frames: r.Frames, Commits: r.Commits, Bytes: r.Bytes, Seq: r.Seq,
		Rejected: []string{}, Warnings: append([]string{}, r.Warnings...), Phases: map[string]int64{},
	}
	for _, rejection := range slices.Concat(r.RejectedManifests, r.RejectedCheckpoints) {
		s.Rejected = append(s.Rejected, fmt.Sprintf("%s: %v", rejection.File, rejection.Err))
	}
	if t := r.Torn; t.File != "" {
		s.Torn = &tornStats{File: t.File, Offset: t.Offset, Bytes: t.Bytes}
	}
	if d := r.Dropped; d != nil {
		s.Dropped = &droppedStats{Reason: d.Reason.Error(), FromSeq: d.FromSeq, Files: d.Files, Bytes: d.Bytes}
	}
	for i, d := range r.Durations {
		s.Phases[recovery.Phase(i).String()] = d.Microseconds()
	}
	return s
}
