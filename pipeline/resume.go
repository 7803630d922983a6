package pipeline

import (
	"errors"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/recovery"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/wal"
	"github.com/empyrealapp/aedb-go/walwriter"
)

// OpenLog opens the log where a recovery has left it, for a pipeline of a mode. In
// Full mode, in which nothing is visible that is not durable, what is in doubt is
// synced at once, and nothing is unsynced; in the others the next sync will do.
func OpenLog(found *recovery.Recovered, s walwriter.Storage, mode Durability) (*walwriter.Log, *wal.Writer, *Unsynced, error) {
	log, segment, err := found.OpenLog(s)
	if err != nil || found.Durable == found.Working.Seq() {
		return log, segment, nil, err
	}
	if mode == Full {
		if err := log.File().Sync(); err != nil {
			return nil, nil, nil, errors.Join(errs.Wrap(errs.CodeIO, err, "sync the recovered log"), log.Close())
		}
		return log, segment, nil, nil
	}
	unsynced := &Unsynced{Durable: found.Durable, Image: found.Checkpoint, Bytes: int64(len(found.Active.Doubtful))}
	if unsynced.Image == nil {
		unsynced.Image = state.NewWorking().Freeze()
	}
	return log, segment, unsynced, nil
}
