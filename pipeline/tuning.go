package pipeline

import (
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
)

// tuning is a Config of which what Tune names is in force, with the executor that
// works within its limits. It is replaced as a whole.
type tuning struct {
	Config
	executor *executor.Executor
}

func newTuning(cfg Config) *tuning { return &tuning{cfg, &executor.Executor{Limits: cfg.Limits}} }

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
