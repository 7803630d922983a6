package pipeline

import (
	"github.com/empyrealapp/aedb-go/applier"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
)

// tuning is the part of a Config that may change while the pipeline runs, as the
// stages use it. It is replaced as a whole.
type tuning struct {
	executor          *executor.Executor
	window            applier.Window
	checkpointBytes   int64
	checkpointOnClose bool
}

func newTuning(cfg Config) *tuning {
	return &tuning{
		executor: &executor.Executor{Limits: cfg.Limits}, window: cfg.Window,
		checkpointBytes: cfg.CheckpointBytes, checkpointOnClose: cfg.CheckpointOnClose,
	}
}

// Tune takes over Limits, Window, the bounds of the history, CheckpointBytes and
// CheckpointOnClose from another configuration, and has the checkpointer look at
// its policy. Requests that were prepared before may still be decided by the
// limits they were prepared with.
func (p *Pipeline) Tune(cfg Config) {
	p.tuning.Store(newTuning(cfg))
	p.history.Limit(cfg.HistoryCommits, cfg.HistoryBytes)
	// If there is no room for this, something that does as well is there.
	_ = p.progress.TrySend(&msgs.Progress{})
}
