package backup

import (
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/keys"
)

// Options say how backups are written and read.
type Options struct {
	// Keys sign what is written and verify what is read. With keys an unsigned
	// manifest is refused; without, a signed one.
	Keys *keys.Ring
	// Seal encrypts the objects that are written, under the current key. Manifests
	// stay readable: they hold seqs, times and digests. Whether what is read is
	// sealed, its manifest says.
	Seal bool
	// Concurrency is how many goroutines may compress; below 1 stands for 1.
	Concurrency int
	// OnProgress, if set, is called now and then, by the goroutine that does the
	// work, within the call.
	OnProgress func(Progress)
}

// Progress tells how far something has come.
type Progress struct {
	// Phase is what is being done.
	Phase Phase
	// Backup is the backup that it is done with, if it is one.
	Backup string
	// Done and Total are in the unit of the phase. Total is 0 if it is not known.
	Done, Total int64
}

// Phase is a part of an operation.
type Phase string

// Phases.
const (
	// WriteState writes a checkpoint; in entries.
	WriteState Phase = "write_state"
	// WriteLog writes pieces of log; in commits.
	WriteLog Phase = "write_log"
	// ReadState reads a checkpoint; in bytes.
	ReadState Phase = "read_state"
	// ReadLog reads and applies pieces of log; in bytes.
	ReadLog Phase = "read_log"
	// CopyObjects copies objects into or out of an archive; in bytes.
	CopyObjects Phase = "copy_objects"
)

func (o *Options) tell(phase Phase, id string, done, total int64) {
	if o.OnProgress != nil {
		o.OnProgress(Progress{Phase: phase, Backup: id, Done: done, Total: total})
	}
}

func (o *Options) validate() error {
	if o.Seal && o.Keys == nil {
		return errs.New(errs.CodeInvalidConfig, "to seal a backup takes keys")
	}
	return nil
}
